// What protects an agent's window, one thing at a time: each has a history that goes well, and goes wrong as soon as that line of the
// scripts is taken away.

import type { Redis } from 'ioredis';
import { describe, expect } from 'vitest';
import { it, type World } from '../support/world.ts';
import { CalendarWorld, COOLDOWN, DEAD, type Held, lose, mustClaim, type Terms } from './calendar-world.ts';
import { sayingInstead } from './other-scripts.ts';

const HOUR = 3_600_000;

interface Protection {
  /** What goes wrong without it. */
  name: string;
  off: readonly [text: string, instead: string];
  terms?: Partial<Terms>;
  /** True: it went wrong. */
  fails: (calendar: CalendarWorld, world: World) => Promise<boolean>;
}

const TWO_LANES = { publish: COOLDOWN, comment: 1_000 };

/** A pod that was there before everything was lost. */
async function loseAll(calendar: CalendarWorld, world: World) {
  await calendar.beat('p1');
  await lose(world, `${world.prefix}:*`);
  await calendar.after(1);
  await calendar.add('publish');
}

const order = (
  calendar: CalendarWorld,
  what: 'add' | 'remove' | 'mark' | 'clear',
  untilAt?: number,
  heartbeatMs?: number,
) =>
  calendar
    .calendar()
    .change({ what, agent: 'a', by: 'test', source: 'operator', heartbeatMs, ...(untilAt && { untilAt }) });

const mayAct = async (calendar: CalendarWorld) => (await calendar.claim('publish')) !== undefined;

async function sends(calendar: CalendarWorld): Promise<Held> {
  const held = await mustClaim(calendar);
  await calendar.calendar().sent(held.agent, held.token);
  return held;
}

const PROTECTIONS: Protection[] = [
  {
    name: 'a window is claimed before its lead',
    off: ["'-inf', text(now + leadMs), 'WITHSCORES', 'LIMIT', from", "'-inf', '+inf', 'WITHSCORES', 'LIMIT', from"],
    async fails(calendar, world) {
      // The agent's own state would tell.
      await order(calendar, 'mark', calendar.now + HOUR);
      await calendar.add('publish');
      await world.redis.hset(world.keys.agent('forum', 'a'), 'next', calendar.now);
      return mayAct(calendar);
    },
  },
  {
    name: 'a window that moved is used where it was',
    off: ['if opensAt > now + leadMs then', 'if false then'],
    async fails(calendar, world) {
      await calendar.add('publish');
      await world.redis.hset(world.keys.agent('forum', 'a'), 'next', calendar.now + HOUR);
      return mayAct(calendar);
    },
  },
  {
    name: 'somebody acts before all have told what they know',
    off: ['if closed > now then', 'if false then'],
    async fails(calendar, world) {
      await loseAll(calendar, world);
      await calendar.register('new');
      return mayAct(calendar);
    },
  },
  {
    name: 'somebody acts by a file of Redis that lacks its last second',
    off: ['if not isKnown({ lane }) then', 'if false then'],
    async fails(calendar, world) {
      await calendar.add('publish');
      await world.redis.hset(calendar.key('agent-state'), 'run', 'another');
      return mayAct(calendar);
    },
  },
  {
    name: 'only the first pod that comes tells what it knows',
    off: ['(epoch and state[3] ~= epoch)', 'false'],
    async fails(calendar, world) {
      await calendar.beat('p2');
      await loseAll(calendar, world);
      await calendar.register('p1', {}, true);
      return (await calendar.beat('p2')) !== 'gone';
    },
  },
  {
    name: 'that a window was open counts as knowledge',
    off: ['if ms > 0 and (isUnknown', 'if (isUnknown'],
    async fails(calendar, world) {
      await loseAll(calendar, world);
      await calendar.register('p1', { a: 0 }, true);
      return (await calendar.opensIn('a')) < COOLDOWN;
    },
  },
  {
    name: 'of what pods tell the last counts, not the latest',
    off: ['or now + ms > at)', 'or true)'],
    async fails(calendar, world) {
      await loseAll(calendar, world);
      await calendar.register('p1', { a: 2_000 }, true);
      await calendar.register('p2', { a: 1_000 }, true);
      return (await calendar.opensIn('a')) < 2_000;
    },
  },
  {
    name: 'of whom nobody knows is open',
    off: ['at = now + longest\n', 'at = now\n'],
    async fails(calendar, world) {
      await loseAll(calendar, world);
      await calendar.register('p1', {}, true);
      return (await calendar.opensIn('a')) < COOLDOWN;
    },
  },
  {
    name: 'a pod that comes first and knows of nothing is believed',
    off: ['isLost = isLost or isMissed', 'isMissed = false'],
    async fails(calendar, world) {
      await loseAll(calendar, world);
      await calendar.register('new');
      await calendar.register('p1', {}, true);
      return (await calendar.opensIn('a')) < COOLDOWN;
    },
  },
  {
    name: 'what acts while all is lost is forgotten',
    off: ['in ipairs(cjson.decode(ARGV[7])) do', 'in ipairs({}) do'],
    async fails(calendar, world) {
      await calendar.add('publish');
      const held = await sends(calendar);
      await loseAll(calendar, world);
      await calendar.register('p1', {}, true, [held]);
      return (await calendar.field('a', 'token')) === null;
    },
  },
  {
    name: 'a token of before a loss fits what was claimed since',
    off: ['if token < now then', 'if false then'],
    async fails(calendar, world) {
      await calendar.add('publish');
      const stale = await mustClaim(calendar);
      await loseAll(calendar, world);
      await calendar.register('p1', {}, true);
      await calendar.after(COOLDOWN);
      return (await mustClaim(calendar)).token <= stale.token;
    },
  },
  {
    name: 'another lane waits though its job stands before',
    off: ['if first < best.score then', 'if false then'],
    terms: { lanes: TWO_LANES },
    async fails(calendar) {
      await calendar.add('comment', { priority: 1 });
      await calendar.add('publish', { priority: 2 });
      return (await calendar.ask('publish')).kind !== 'other';
    },
  },
  {
    name: 'a job that BullMQ removed is claimed',
    off: ["if call('ZSCORE', Q .. lane .. ':delayed', first[1]) then", 'if true then'],
    async fails(calendar) {
      const gone = await calendar.add('publish');
      const next = await calendar.add('publish');
      await calendar.queue('publish').queue.remove(gone);
      return (await calendar.claim('publish').catch(() => undefined))?.job.id !== next;
    },
  },
  {
    name: 'a window is left to a pod that does not come',
    off: ['at > now - 15 and', 'true and'],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.register('p2');
      const watchOf = async (pod: string) => (await calendar.calendar(pod).beat(['publish'], []))?.watch.length;
      await watchOf('p1');
      await calendar.after(16);
      return (await watchOf('p2')) === 0;
    },
  },
  {
    name: 'what may have been sent is taken from a pod that only pauses',
    off: ['if at and held[4] and at > now - silentMs then', 'if false then'],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.beat('p1');
      await sends(calendar);
      await calendar.after(DEAD);
      return (await calendar.beat('p2')).length > 0;
    },
  },
  {
    name: 'what was not said to be sent costs a dead pod a window',
    off: ['free(agent, wasSent and', 'free(agent, true and'],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.beat('p1');
      await mustClaim(calendar);
      await calendar.after(DEAD);
      await calendar.beat('p2');
      return !(await mayAct(calendar));
    },
  },
  {
    name: 'a claim whose answer was lost is held for ever',
    off: ['if held[3] == pod and not mine[held[6]] then', 'if false then'],
    async fails(calendar) {
      const id = await calendar.add('publish');
      await mustClaim(calendar);
      await calendar.after(2_001);
      await calendar.beat('p1');
      return (await calendar.lies('publish', id)) === 'active';
    },
  },
  {
    name: 'an agent that a lost set held stands nowhere',
    off: ["if placed ~= call('HLEN', U .. 'agents') then", 'if false then'],
    async fails(calendar, world) {
      await calendar.add('publish');
      await world.redis.del(calendar.key('windows'));
      await calendar.beat('p1');
      return !(await mayAct(calendar));
    },
  },
  {
    name: 'an agent that is not heard in time is used',
    off: ["call('ZRANGEBYSCORE', U .. 'agent-due', '-inf', text(now), 'LIMIT', 0, 100)", '{}'],
    async fails(calendar) {
      await order(calendar, 'add', undefined, 30_000);
      await calendar.add('publish');
      await calendar.after(30_000);
      await calendar.beat();
      return mayAct(calendar);
    },
  },
  {
    name: 'an agent that fell silent in an act is used after it',
    off: ["local silentSince = call('HGET', stateKey(agent), 'silent')", 'local silentSince = false'],
    async fails(calendar) {
      await order(calendar, 'add', undefined, 30_000);
      for (let n = 0; n < 2; n++) await calendar.add('publish');
      const held = await mustClaim(calendar);
      await calendar.after(30_000);
      await calendar.beat('p1', [held]);
      await calendar.done(held);
      await calendar.after(COOLDOWN);
      return mayAct(calendar);
    },
  },
  {
    name: 'a mark opens a window sooner',
    off: ['if order.untilAt > (isActing and tonumber(before) or nextOf(agent)) then', 'if true then'],
    async fails(calendar) {
      await order(calendar, 'mark', calendar.now + HOUR);
      await order(calendar, 'mark', calendar.now + 1_000);
      return (await calendar.opensIn('a')) < HOUR;
    },
  },
  {
    name: 'an act shortens what was ordered while it went on',
    off: ['if lastAt + release.costMs >= nextAt then', 'if true then'],
    async fails(calendar) {
      await calendar.add('publish');
      const held = await mustClaim(calendar);
      await order(calendar, 'mark', calendar.now + HOUR);
      await calendar.done(held);
      return (await calendar.opensIn('a')) < HOUR;
    },
  },
  {
    name: "a clock that was set opens a window before the answer's cooldown",
    off: ['math.max(release.answeredAt, lastAt - 20)', 'release.answeredAt'],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.done(await mustClaim(calendar), { agoMs: 5, answeredAt: calendar.now - HOUR });
      return (await calendar.opensIn('a')) < COOLDOWN - 25;
    },
  },
  {
    name: 'an agent that is removed and added again owes nothing',
    off: ["call('HSETNX', stateKey(agent), 'next', text(now))", "call('HSET', stateKey(agent), 'next', text(now))"],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.done(await mustClaim(calendar));
      await order(calendar, 'remove');
      await order(calendar, 'add');
      return (await calendar.opensIn('a')) < COOLDOWN;
    },
  },
  {
    name: 'a pod brings back who was removed',
    off: ["call('SISMEMBER', U .. 'agents-removed', agent) == 0 and", 'true and'],
    async fails(calendar) {
      await order(calendar, 'remove');
      await calendar.register('p2');
      return (await calendar.places()).a !== undefined;
    },
  },
  {
    name: 'a job that acted goes on as another agent',
    off: ['if isOurs and release.binds and', 'if false and'],
    terms: { agents: ['a', 'b'] },
    async fails(calendar) {
      await calendar.add('publish');
      const held = await mustClaim(calendar);
      await calendar.retry(held, 10, { binds: true });
      await calendar.after(11);
      return mayAct(calendar);
    },
  },
  {
    name: 'a sent job of a dead pod goes on as another agent',
    off: ["elseif wasSent and call('EXISTS', queue .. id) == 1 then", 'elseif false then'],
    async fails(calendar, world) {
      const id = await calendar.add('publish');
      await calendar.beat('p1');
      await sends(calendar);
      await calendar.after(15_001);
      await calendar.beat('p2');
      return (await world.redis.hget(calendar.queue('publish').jobKey(id), 'lk:agent')) !== 'a';
    },
  },
  {
    name: 'who lost an agent is let in to send',
    off: ["if held[1] ~= token then return { 'lost', text(now) } end", ''],
    async fails(calendar) {
      await calendar.add('publish');
      await calendar.beat('p1');
      const stale = await mustClaim(calendar);
      await calendar.after(DEAD);
      await calendar.beat('p2');
      return (await calendar.calendar('p1').sent('a', stale.token)).standing === 'ours';
    },
  },
];

async function without(world: World, { off, terms }: Protection) {
  const { redis, changed } = sayingInstead(world, ...off);
  return { calendar: await openOver(redis, world, terms), changed };
}

async function openOver(redis: Redis, world: World, terms: Partial<Terms> = {}) {
  const calendar = new CalendarWorld(redis, world.keys, { agents: ['a'], lanes: { publish: COOLDOWN }, ...terms });
  world.defer(() => calendar.close());
  return calendar.open();
}

const NAMED = PROTECTIONS.map((protection) => [protection.name, protection] as const);

describe('it never happens that', () => {
  it.for(NAMED)('%s', async ([, protection], { world }) => {
    expect(await protection.fails(await openOver(world.redis, world, protection.terms), world)).toBe(false);
  });

  it.for(NAMED)('%s (twin: without its protection it does)', async ([, protection], { world }) => {
    const { calendar, changed } = await without(world, protection);
    expect(await protection.fails(calendar, world)).toBe(true);
    expect(changed()).toBeGreaterThan(0);
  });
});
