// What the calendar does about those that die and what is lost: a pod's claims come free, what was known is told again, and nobody
// acts early meanwhile.

import { describe, expect } from 'vitest';
import { BEAT_MS, QUIET_MS } from '../../src/store/calendar/calendar.ts';
import { adminOf, privateRedis } from '../path/private-redis.ts';
import { it, type World } from '../support/world.ts';
import {
  CalendarWorld,
  COOLDOWN,
  DEAD,
  dies,
  lose,
  mustClaim,
  openCalendar as open,
  SILENT,
} from './calendar-world.ts';

/** After a loss nobody claims for so long. */
const CLOSED = 601;

describe('a dead pod', () => {
  it('loses what it did not send: job back at its old place without its lock, the window still open', async ({
    world,
  }) => {
    const calendar = await open(world);
    const [first, second] = [await calendar.add('publish'), await calendar.add('publish')];
    await calendar.beat('p1');
    const held = await mustClaim(calendar);
    expect(await dies(calendar, DEAD - 2)).toEqual([]);
    expect(await dies(calendar, 2)).toEqual([{ lane: 'publish', job: first, agent: 'a', wasSent: false }]);
    expect(await calendar.lies('publish', first)).toBe('delayed');
    expect(await calendar.line('publish')).toEqual([first, second]);
    expect(await world.redis.exists(`${calendar.queue('publish').jobKey(first)}:lock`)).toBe(0);
    expect(await calendar.opensIn('a')).toBeLessThanOrEqual(0);
    expect(await calendar.places()).toEqual({ a: 'windows' });
    expect(await mustClaim(calendar, 'publish', { pod: 'p2' })).toMatchObject({ job: { id: held.job.id } });
  });

  it('keeps what it sent for as long as it may go on; then the agent is charged, the job left to its lock', async ({
    world,
  }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    const id = await calendar.add('publish');
    await calendar.beat('p1');
    const held = await mustClaim(calendar);
    await calendar.calendar().sent(held.agent, held.token);
    expect(await dies(calendar, DEAD)).toEqual([]);
    expect(await dies(calendar, SILENT - DEAD - 2)).toEqual([]);
    expect(await dies(calendar, 2)).toEqual([{ lane: 'publish', job: id, agent: held.agent, wasSent: true }]);
    expect(await calendar.opensIn(held.agent)).toBe(COOLDOWN);
    expect(await calendar.lies('publish', id)).toBe('active');
    expect(await world.redis.exists(`${calendar.queue('publish').jobKey(id)}:lock`)).toBe(1);
    expect(await calendar.line('publish')).toEqual([]);
  });

  it('leaves its sent job to the agent it acted as', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    const id = await calendar.add('publish');
    await calendar.beat('p1');
    const held = await mustClaim(calendar);
    await calendar.calendar().sent(held.agent, held.token);
    await dies(calendar, SILENT);
    expect(await world.redis.hget(calendar.queue('publish').jobKey(id), 'lk:agent')).toBe(held.agent);
  });

  it('is found although nobody remembers that it lived', async ({ world }) => {
    const calendar = await open(world);
    const id = await calendar.add('publish');
    await calendar.beat('p1');
    await mustClaim(calendar);
    await world.redis.del(calendar.key('agent-pods'));
    await dies(calendar, 2_001);
    await dies(calendar, SILENT);
    await dies(calendar, SILENT);
    expect(await calendar.places()).toEqual({ a: 'windows' });
    expect(await calendar.lies('publish', id)).toBe('delayed');
  });

  it('no window of another opens early for it, and a live one loses nothing', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    for (let n = 0; n < 2; n++) await calendar.add('publish');
    await calendar.beat('p1');
    const dead = await mustClaim(calendar);
    await calendar.beat('p2');
    const live = await mustClaim(calendar, 'publish', { pod: 'p2' });
    await calendar.after(DEAD);
    expect(await calendar.beat('p2', [live])).toMatchObject([{ agent: dead.agent }]);
    expect((await calendar.places())[live.agent]).toBe('acting');
    expect((await calendar.done(live, {}, 'p2')).released.opensInMs).toBe(COOLDOWN);
  });
});

describe('a beat', () => {
  it('takes after two seconds what the pod does not hold', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    const [lost] = [await calendar.add('publish'), await calendar.add('publish')];
    const [unheld, held] = [await mustClaim(calendar), await mustClaim(calendar)];
    await calendar.after(1_999);
    expect(await calendar.beat('p1', [held])).toEqual([]);
    await calendar.after(1);
    expect(await calendar.beat('p1', [held])).toEqual([
      { lane: 'publish', job: lost, agent: unheld.agent, wasSent: false },
    ]);
    expect(await calendar.opensIn(unheld.agent)).toBeLessThanOrEqual(0);
    expect((await calendar.places())[held.agent]).toBe('acting');
  });

  it('finds it behind a hundred others', async ({ world }) => {
    const agents = Array.from({ length: 120 }, (_, n) => `a${n}`);
    const calendar = await open(world, { agents });
    for (let n = 0; n < agents.length; n++) await calendar.add('publish');
    const all = [];
    for (let n = 0; n < agents.length; n++) all.push(await mustClaim(calendar));
    const unheld = all.pop();
    await calendar.after(2_000);
    expect(await calendar.beat('p1', all)).toMatchObject([{ agent: unheld?.agent }]);
  });

  it('gives each window that opens soon to one pod, and to another when that one is late', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await calendar.register('p2');
    const watch = async (pod: string) => (await calendar.calendar(pod).beat(['publish'], []))?.watch;
    expect(await watch('p1')).toEqual([{ agent: 'a', opensInMs: 0 }]);
    expect(await watch('p2')).toEqual([]);
    await calendar.after(16);
    expect(await watch('p2')).toEqual([{ agent: 'a', opensInMs: -16 }]);
  });
});

describe('after a loss', () => {
  /** 'a' acted and cools down, 'b' acts, 'c' is open, 'd' has nothing to do; jobs wait for any and for each. */
  async function busy(world: World) {
    const calendar = await open(world, { agents: ['a', 'b', 'c', 'd'] });
    await calendar.beat('p1');
    await calendar.add('publish', { agent: 'a' });
    await calendar.done(await mustClaim(calendar));
    await calendar.add('publish', { agent: 'b' });
    const acting = await mustClaim(calendar);
    for (const agent of ['a', 'b', 'c']) await calendar.add('publish', { agent });
    await calendar.calendar().change({ what: 'add', agent: 'e', by: 'test' });
    return { calendar, acting };
  }

  const KEYS = ['windows', 'idle', 'acting', 'agents', 'agent-lanes', 'agent-pods', 'agent-state', 'agents-removed'];
  for (const name of [...KEYS, ...['a', 'b', 'c', 'd'].map((agent) => `agent:${agent}`)])
    it(`of ${name} all stands again, nobody opens early, every job ends`, async ({ world }) => {
      const { calendar, acting } = await busy(world);
      const told = { a: COOLDOWN };
      await world.redis.del(calendar.key(name));
      await calendar.at(calendar.now);
      const held = [acting];
      const early: string[] = [];
      const mayAt: Record<string, number> = { a: calendar.now + COOLDOWN };
      let releasedAt: number | undefined;
      for (let step = 0; step < 80; step++) {
        await calendar.after(step === 0 ? 0 : 500);
        for (const pod of ['p1', 'p2']) {
          const beat = await calendar.beat(pod, held);
          if (beat === 'gone') await calendar.register(pod, pod === 'p1' ? told : {}, true, pod === 'p1' ? held : []);
        }
        const claimed = await calendar.claim('publish');
        if (claimed) {
          if (calendar.now < (mayAt[claimed.agent] ?? 0)) early.push(`${claimed.agent} at step ${step}`);
          if (claimed.agent === 'b' && releasedAt === undefined) early.push('b while it acted');
          await calendar.done(claimed);
          mayAt[claimed.agent] = calendar.now + COOLDOWN;
        }
        if (step === 3) {
          await calendar.done(acting);
          held.pop();
          releasedAt = calendar.now;
          mayAt.b = calendar.now + COOLDOWN;
        }
      }
      expect(early).toEqual([]);
      expect([
        await calendar.line('publish', 'a'),
        await calendar.line('publish', 'b'),
        await calendar.line('publish', 'c'),
      ]).toEqual([[], [], []]);
      expect(await calendar.places()).toEqual(
        Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((agent) => [agent, 'idle'])),
      );
    });

  it('of everything nobody claims before all have told, and only the latest instant counts', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b', 'c'] });
    await calendar.beat('p1');
    await lose(world, `${world.prefix}:*`);
    await calendar.at(calendar.now);
    expect(await calendar.ask('publish')).toMatchObject({ kind: 'gone' });
    expect(await calendar.beat('p1')).toBe('gone');
    expect(await calendar.register('p1', { a: 1_000, b: 0 }, true)).toBe(true);
    await calendar.register('p2', { a: 2_000, b: 500 }, true);
    for (const agent of ['a', 'b', 'c']) await calendar.add('publish', { agent });
    await calendar.after(CLOSED - 2);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(2);
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'b' });
    await calendar.after(2_000 - CLOSED - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'a' });
    await calendar.after(COOLDOWN - 2_001);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'c' });
  });

  it('of everything a pod that comes first and knows of nothing opens nobody', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b', 'c'] });
    await calendar.beat('p1');
    await lose(world, `${world.prefix}:*`);
    await calendar.after(1);
    for (const agent of ['a', 'b', 'c']) await calendar.add('publish', { agent });
    expect(await calendar.register('new')).toBe(false);
    await calendar.after(CLOSED - 2);
    expect(await calendar.claim('publish', { pod: 'new' })).toBeUndefined();
    expect(await calendar.beat('p1')).toBe('gone');
    expect(await calendar.register('p1', { a: 2_000 }, true)).toBe(true);
    expect(await calendar.beat('new')).toBe('gone');
    await calendar.register('new', {}, true);
    await calendar.after(1_999);
    expect(await calendar.claim('publish', { pod: 'new' })).toBeUndefined();
    await calendar.after(1);
    expect(await mustClaim(calendar, 'publish', { pod: 'new' })).toMatchObject({ agent: 'a' });
    // Only one that is dead can have known of the others.
    expect(await calendar.opensIn('b')).toBe(COOLDOWN - 2_000);
    await calendar.after(COOLDOWN - 2_001);
    expect(await calendar.claim('publish', { pod: 'new' })).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar, 'publish', { pod: 'new' });
  });

  it('takes for no knowledge that a window was open when a pod heard of it last', async ({ world }) => {
    const calendar = await open(world);
    await calendar.beat('p1');
    await lose(world, `${world.prefix}:*`);
    await calendar.at(calendar.now);
    await calendar.add('publish');
    await calendar.register('p1', { a: 0 }, true);
    await calendar.after(COOLDOWN - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });

  it('asks every pod what it knows, not only the first that comes', async ({ world }) => {
    const calendar = await open(world);
    await calendar.beat('p1');
    await calendar.beat('p2');
    await lose(world, `${world.prefix}:*`);
    await calendar.after(1);
    expect(await calendar.beat('p1')).toBe('gone');
    await calendar.register('p1', { a: 0 }, true);
    expect(await calendar.beat('p2')).toBe('gone');
  });

  it('another run of Redis is one: its file may lack the last second', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await world.redis.hset(calendar.key('agent-state'), 'run', 'another');
    expect(await calendar.ask('publish')).toMatchObject({ kind: 'gone' });
    expect(await calendar.beat()).toBe('gone');
    expect(await calendar.register('p1', { a: 5_000 }, true)).toBe(true);
    await calendar.after(4_999);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });

  it('of the scripts nobody notices', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await world.redis.script('FLUSH');
    await calendar.beat();
    await world.redis.script('FLUSH');
    const held = await mustClaim(calendar);
    await world.redis.script('FLUSH');
    expect((await calendar.done(held)).released.opensInMs).toBe(COOLDOWN);
  });
});

describe('a Redis that is full', () => {
  /** Over a Redis of its own; `make` changes what is sent to it. */
  async function full(world: World, make: (lua: string) => string) {
    const admin = adminOf(world, await privateRedis(world));
    const define = admin.defineCommand.bind(admin);
    admin.defineCommand = (name, { lua, ...rest }) => define(name, { ...rest, lua: make(lua) });
    const terms = { agents: ['a', 'b'], lanes: { publish: COOLDOWN } };
    const calendar = await new CalendarWorld(admin, world.keys, terms).open();
    world.defer(() => calendar.close());
    for (let n = 0; n < 2; n++) await calendar.add('publish');
    await calendar.beat('p1');
    const held = await mustClaim(calendar);
    await admin.config('SET', 'maxmemory', '1');
    return { calendar, held };
  }

  it('still hears that a pod lives and that something goes out; nobody loses what it holds', async ({ world }) => {
    const { calendar, held } = await full(world, (lua) => lua);
    expect(await calendar.calendar().sent(held.agent, held.token)).toMatchObject({ standing: 'ours' });
    expect(await calendar.beat('p1', [held])).toEqual([]);
    expect(await calendar.redis.zscore(calendar.key('agent-pods'), 'p1')).not.toBeNull();
    expect((await calendar.done(held)).released.opensInMs).toBe(COOLDOWN);
  });

  it('twin: not without taking something away first', async ({ world }) => {
    const { calendar, held } = await full(world, (lua) =>
      lua.replace("call('ZREM', turns, pod)", '').replace("call('HDEL', stateKey(agent), 'sent')", ''),
    );
    await expect(calendar.calendar().sent(held.agent, held.token)).rejects.toThrow(/OOM/);
    await expect(calendar.beat('p1', [held])).rejects.toThrow(/OOM/);
  });
});

describe('turns', () => {
  const turnOf = async (calendar: CalendarWorld, pod: string) =>
    (await calendar.calendar(pod).beat(['publish'], []))?.turnMs ?? Number.NaN;

  it('come five times a second to one pod, and are shared by more, while anything stirs', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    expect(await turnOf(calendar, 'p1')).toBe(BEAT_MS);
    for (const pod of ['p2', 'p3', 'p4']) await calendar.register(pod);
    const next = new Map<string, number>(['p1', 'p2', 'p3', 'p4'].map((pod, n) => [pod, calendar.now + n]));
    const looks: number[] = [];
    while (looks.length < 40) {
      const [pod, at] = [...next].reduce((first, one) => (one[1] < first[1] ? one : first));
      await calendar.at(at);
      looks.push(at);
      next.set(pod, at + (await turnOf(calendar, pod)));
    }
    const gaps = looks.slice(20).map((at, n) => at - (looks[19 + n] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(BEAT_MS);
    expect(Math.max(...next.values()) - calendar.now).toBeLessThanOrEqual(QUIET_MS);
    expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeGreaterThan(100);
  });

  it('come once a second while nothing stirs, and quickly again before anything comes due', async ({ world }) => {
    const calendar = await open(world);
    expect(await turnOf(calendar, 'p1')).toBe(1_000);
    // It holds nothing, so it is not dead meanwhile.
    await calendar.register('p2');
    await calendar.after(1_000 + DEAD - BEAT_MS - 2);
    await calendar.beat('p2');
    expect(await world.redis.zscore(calendar.key('agent-pods'), 'p1')).not.toBeNull();
    await calendar.after(2);
    await calendar.beat('p2');
    expect(await world.redis.zscore(calendar.key('agent-pods'), 'p1')).toBeNull();
    for (const make of [
      () => calendar.add('publish', { at: calendar.now + 1_500 }),
      () => calendar.calendar().change({ what: 'mark', agent: 'a', by: 'test', untilAt: calendar.now + 1_500 }),
    ]) {
      await make();
      expect(await turnOf(calendar, 'p2')).toBeLessThanOrEqual(BEAT_MS);
      await calendar.after(5_000);
      await calendar.beat('p2');
      const held = await calendar.claim('publish', { pod: 'p2' });
      if (held) await calendar.done(held, { costMs: 0 }, 'p2');
      expect(await turnOf(calendar, 'p2')).toBe(1_000);
    }
  });

  it('leave a pod that holds something as dead as ever when it is silent', async ({ world }) => {
    const calendar = await open(world);
    const id = await calendar.add('publish');
    await calendar.beat('p1');
    await mustClaim(calendar);
    expect(await dies(calendar, DEAD - 2)).toEqual([]);
    expect(await dies(calendar, 2)).toMatchObject([{ job: id }]);
  });
});
