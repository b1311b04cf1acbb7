// The calendar's scripts by themselves: what a claim, a release and a line leave behind, with a clock that the test moves.

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { it } from '../support/world.ts';
import {
  type CalendarWorld,
  COOLDOWN,
  DEAD,
  dies,
  type Held,
  lose,
  mustClaim,
  openCalendar as open,
} from './calendar-world.ts';

const HOUR = 3_600_000;

describe('a claim', () => {
  it('makes the agent ours and its job active under our lock, as one', async ({ world }) => {
    const calendar = await open(world);
    const id = await calendar.add('publish');
    const held = await mustClaim(calendar);
    expect(held).toMatchObject({ agent: 'a', opensInMs: 0, job: { id, attemptsStarted: 1 } });
    expect(await calendar.lies('publish', id)).toBe('active');
    expect(await world.redis.get(`${calendar.queue('publish').jobKey(id)}:lock`)).toBe(held.lock);
    expect(await calendar.line('publish')).toEqual([]);
    expect(await calendar.places()).toEqual({ a: 'acting' });
    expect(await calendar.field('a', 'job')).toBe(id);
  });

  const IDLE: [string, (calendar: CalendarWorld) => Promise<unknown>][] = [
    ['an agent that opens later than the lead', (calendar) => calendar.after(-11)],
    ['a paused lane', (calendar) => calendar.queue('publish').queue.pause()],
    ['a full lane', (calendar) => calendar.queue('publish').queue.setGlobalConcurrency(0)],
    ['a lane that BullMQ holds back', holdBack],
  ];
  it.for(IDLE)('changes nothing for %s', async ([, make], { world }) => {
    const calendar = await open(world);
    const id = await calendar.add('publish', { priority: 3 });
    await make(calendar);
    const before: unknown = [await calendar.line('publish'), await calendar.places()];
    expect(await calendar.claim('publish', { leadMs: 10 })).toBeUndefined();
    expect([await calendar.line('publish'), await calendar.places()]).toEqual(before);
    expect(await calendar.lies('publish', id)).toBe('delayed');
    expect(await world.redis.exists(`${calendar.queue('publish').jobKey(id)}:lock`)).toBe(0);
  });

  it('gives a job of any agent the open one, of two the one with the better recent success', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b', 'c'] });
    await world.redis.hset(world.keys.agent('forum', 'a'), 'ok', 0.2);
    await calendar
      .calendar()
      .change({ what: 'mark', agent: 'c', by: 't', untilAt: calendar.now + 5, reason: '', source: 'operator' });
    for (let n = 0; n < 3; n++) await calendar.add('publish');
    const claims = [];
    for (let n = 0; n < 3; n++) claims.push(await calendar.claim('publish', { leadMs: 10 }));
    expect(claims.map((held) => held?.agent)).toEqual(['b', 'a', 'c']);
  });

  it('starts agents that are open together one after the other, each when nobody else starts', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b', 'c', 'd', 'e'] });
    for (const agent of ['a', 'b', 'c', 'd', 'e']) await calendar.add('publish', { agent });
    await calendar
      .calendar()
      .change({ what: 'mark', agent: 'e', by: 't', untilAt: calendar.now + 7, reason: '', source: 'operator' });
    const claims = [];
    for (let n = 0; n < 5; n++) claims.push(await mustClaim(calendar, 'publish', { leadMs: 10, apartMs: 3 }));
    // The last opens later, and finds the next place after those that are taken.
    expect(claims.map(({ startsInMs }) => startsInMs)).toEqual([0, 3, 6, 9, 12]);
    expect(claims.map(({ opensInMs }) => opensInMs)).toEqual([0, 0, 0, 0, 7]);
    // What is given back leaves its place to others.
    await calendar.giveBack(claims[1] as Held);
    expect(await mustClaim(calendar, 'publish', { leadMs: 10, apartMs: 3 })).toMatchObject({ startsInMs: 3 });
  });

  it.for([
    ['a quarter of the cooldown', 4, 16, [0, 1, 2, 3]],
    ['100 ms', 50, HOUR, [0, 2, 4, 6]],
  ] as const)(
    'starts many agents closer together: all of them within %s',
    async ([, count, cooldown, starts], { world }) => {
      const agents = Array.from({ length: count }, (_, n) => `a${n}`);
      const calendar = await open(world, { agents, lanes: { publish: cooldown } });
      for (let n = 0; n < 4; n++) await calendar.add('publish');
      const claims = [];
      for (let n = 0; n < 4; n++) claims.push(await mustClaim(calendar, 'publish', { apartMs: 3 }));
      expect(claims.map(({ startsInMs }) => startsInMs)).toEqual(starts);
    },
  );

  it('goes by priority, then by arrival, across lanes and lines', async ({ world }) => {
    const calendar = await open(world, { lanes: { publish: COOLDOWN, comment: 1_000 } });
    const wanted: string[] = [];
    for (const [lane, priority, agent] of [
      ['comment', 5, undefined],
      ['publish', 1, 'a'],
      ['publish', 5, undefined],
      ['comment', 0, undefined],
      ['comment', 1, 'a'],
      ['publish', 0, 'a'],
    ] as const)
      wanted.push(`${priority} ${wanted.length} ${lane} ${await calendar.add(lane, { priority, agent })}`);
    const seen: string[] = [];
    while (seen.length < wanted.length) {
      let lane = 'publish';
      const first = await calendar.ask(lane);
      if (first.kind === 'other') lane = first.lane;
      const held = first.kind === 'job' ? { ...first.claim, ...first, lane } : await mustClaim(calendar, lane);
      seen.push(`${held.lane} ${held.job.id}`);
      await calendar.done(held as Held);
      await calendar.after(COOLDOWN);
    }
    expect(seen).toEqual(wanted.sort().map((text) => text.split(' ').slice(2).join(' ')));
  });

  it('does not yield to a lane that was called and did not come', async ({ world }) => {
    const calendar = await open(world, { lanes: { publish: COOLDOWN, comment: 1_000 } });
    await calendar.add('comment');
    await calendar.add('publish');
    expect(await calendar.ask('publish')).toMatchObject({ kind: 'other', lane: 'comment' });
    expect(await mustClaim(calendar, 'publish', { yields: false })).toMatchObject({ agent: 'a' });
  });

  it('finds the job of the 70th agent behind windows that others wait for', async ({ world }) => {
    const agents = Array.from({ length: 70 }, (_, index) => `a${index + 10}`);
    const calendar = await open(world, { agents, lanes: { publish: COOLDOWN, comment: COOLDOWN } });
    await calendar.queue('comment').queue.pause();
    for (const agent of agents.slice(0, 69)) await calendar.add('comment', { agent });
    await calendar.after(1);
    await calendar.calendar().change({ what: 'clear', agent: 'a79', by: 't', reason: '', source: 'operator' });
    await calendar.add('publish', { agent: 'a79' });
    expect(await mustClaim(calendar, 'publish', { yields: false })).toMatchObject({ agent: 'a79' });
  });

  it('of a named job leaves an idle agent to the job of any agent that waits', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    await world.redis.hset(world.keys.agent('forum', 'b'), 'ok', 0.5);
    await calendar.add('publish', { priority: 9 });
    await calendar.add('publish', { priority: 1, agent: 'a' });
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'a' });
    await calendar.beat();
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'b' });
  });
});

async function holdBack(calendar: CalendarWorld) {
  const { queue } = calendar.queue('publish');
  await queue.setGlobalRateLimit(1, 60_000);
  await queue.rateLimit(60_000);
}

describe('a release', () => {
  it('charges from the last answer, whatever the claim was', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    const held = await mustClaim(calendar);
    await calendar.after(700);
    const { released } = await calendar.done(held, { agoMs: 200 });
    expect(released.opensInMs).toBe(COOLDOWN - 200);
    expect(await calendar.opensIn('a')).toBe(COOLDOWN - 200);
    await calendar.add('publish');
    await calendar.after(COOLDOWN - 211);
    expect(await calendar.claim('publish', { leadMs: 10 })).toBeUndefined();
    await calendar.after(1);
    expect(await calendar.claim('publish', { leadMs: 10 })).toMatchObject({ opensInMs: 10 });
  });

  it('costs each lane its own cooldown on one agent', async ({ world }) => {
    const calendar = await open(world, { lanes: { publish: COOLDOWN, comment: 1_000 } });
    await calendar.add('comment');
    await calendar.add('publish');
    await calendar.done(await mustClaim(calendar, 'comment'));
    expect(await calendar.opensIn('a')).toBe(1_000);
    await calendar.after(999);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await calendar.done(await mustClaim(calendar, 'publish'));
    expect(await calendar.opensIn('a')).toBe(COOLDOWN);
  });

  it.for([
    ['nothing', 0],
    ['a year', 365 * 24 * HOUR],
  ] as const)('that costs %s opens the window when that is over', async ([, costMs], { world }) => {
    const calendar = await open(world, { lanes: { publish: costMs } });
    const ids = [await calendar.add('publish'), await calendar.add('publish'), await calendar.add('publish')];
    const { jobKey } = calendar.queue('publish');
    const begunAt = calendar.now;
    for (const [place, id] of ids.entries()) {
      expect(await world.redis.hget(jobKey(id), 'lk:until')).toBe(String(begunAt + place * costMs));
    }
    for (const id of ids) {
      const held = await mustClaim(calendar);
      expect(held.job.id).toBe(id);
      await calendar.done(held);
      expect(await calendar.opensIn('a')).toBe(costMs);
      await calendar.after(costMs);
    }
  });

  it('gives both back as they were when nothing was sent', async ({ world }) => {
    const calendar = await open(world);
    const [first, second] = [await calendar.add('publish'), await calendar.add('publish')];
    const held = await mustClaim(calendar);
    await calendar.giveBack(held);
    expect((await mustClaim(calendar)).job.id).toBe(first);
    expect(await calendar.line('publish')).toEqual([second]);
  });

  it('brings a retry back into line at its old place, after its backoff', async ({ world }) => {
    const calendar = await open(world);
    const [first] = [await calendar.add('publish'), await calendar.add('publish')];
    await calendar.retry(await mustClaim(calendar), 500, { costMs: null });
    const other = await mustClaim(calendar);
    expect(other.job.id).not.toBe(first);
    await calendar.giveBack(other);
    await calendar.after(501);
    expect((await mustClaim(calendar)).job.id).toBe(first);
  });

  it('binds a job that goes on to the agent it acted as', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    await calendar.add('publish');
    const held = await mustClaim(calendar);
    await calendar.retry(held, 10, { binds: true });
    await calendar.after(11);
    expect(await calendar.claim('publish')).toBeUndefined();
    expect(await calendar.line('publish', held.agent)).toEqual([held.job.id]);
    await calendar.after(COOLDOWN);
    expect(await mustClaim(calendar)).toMatchObject({ agent: held.agent });
  });

  it('waits for the later of what an act costs and what the upstream said', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await calendar.done(await mustClaim(calendar), { untilMs: HOUR, source: 'retry-after', reason: '429' });
    expect(await calendar.opensIn('a')).toBe(HOUR);
    expect(await calendar.field('a', 'source')).toBe('retry-after');
  });

  it('by a stale token changes nothing of the agent nor of the job', async ({ world }) => {
    const calendar = await open(world);
    await calendar.beat('p1');
    const id = await calendar.add('publish');
    const stale = await mustClaim(calendar);
    await dies(calendar, DEAD);
    await calendar.after(COOLDOWN);
    const held = await mustClaim(calendar, 'publish', { pod: 'p2' });
    const before = await world.redis.hgetall(world.keys.agent('forum', 'a'));
    const moved = calendar.done(stale, { binds: true, untilMs: HOUR });
    await expect(moved).rejects.toMatchObject({ code: -6 });
    expect(await world.redis.hgetall(world.keys.agent('forum', 'a'))).toEqual(before);
    expect(await world.redis.hget(calendar.queue('publish').jobKey(id), 'lk:agent')).toBe('');
    expect(await calendar.lies('publish', id)).toBe('active');
    expect((await calendar.done(held, {}, 'p2')).released.opensInMs).toBe(COOLDOWN);
  });

  it('by a token of before everything was lost changes nothing', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    const stale = await mustClaim(calendar);
    await lose(world, `${world.prefix}:*`);
    await calendar.at(calendar.now);
    await calendar.register('p1', {}, true);
    await calendar.after(COOLDOWN);
    await calendar.add('publish');
    const held = await mustClaim(calendar);
    await calendar.done(stale, { costMs: 0 }).catch(() => {});
    expect(await calendar.places()).toEqual({ a: 'acting' });
    expect((await calendar.done(held)).released.opensInMs).toBe(COOLDOWN);
  });

  it.for([
    ['for any agent', {}, 'outranked'],
    ['for its agent', { agent: 'a' }, 'outranked'],
    ['for another agent', { agent: 'b' }, 'ours'],
    ['of its own priority', { priority: 5 }, 'ours'],
  ] as const)(
    'says that it sends, not while a job %s that came later goes first',
    async ([, options, wanted], { world }) => {
      const calendar = await open(world, { agents: ['a', 'b'] });
      await calendar.add('publish', { agent: 'a', priority: 5 });
      const held = await mustClaim(calendar);
      await calendar.add('publish', { priority: 1, ...options });
      const ours = calendar.calendar();
      expect(await ours.sent('a', held.token, true)).toMatchObject({ standing: wanted });
      expect(await calendar.field('a', 'sent')).toBe(wanted === 'ours' ? '1' : null);
      expect(await ours.sent('a', held.token, false)).toMatchObject({ standing: 'ours' });
    },
  );

  it('says nothing of a later claim when it says that it sends', async ({ world }) => {
    const calendar = await open(world);
    await calendar.beat('p1');
    await calendar.add('publish');
    const stale = await mustClaim(calendar);
    await dies(calendar, DEAD);
    await calendar.after(COOLDOWN);
    await mustClaim(calendar, 'publish', { pod: 'p2' });
    expect(await calendar.calendar('p1').sent('a', stale.token)).toMatchObject({ standing: 'lost' });
    expect(await calendar.field('a', 'sent')).toBeNull();
  });
});

describe('a line', () => {
  it('has no hole where BullMQ removed jobs', async ({ world }) => {
    const calendar = await open(world);
    const ids: string[] = [];
    for (let n = 0; n < 6; n++) ids.push(await calendar.add('publish', { agent: n % 2 ? 'a' : undefined }));
    const { queue } = calendar.queue('publish');
    for (const place of [0, 1, 3]) await queue.remove(ids[place] as string);
    for (const place of [2, 4, 5]) {
      const held = await mustClaim(calendar);
      expect(held.job.id).toBe(ids[place]);
      await calendar.done(held);
      await calendar.after(COOLDOWN);
    }
    expect(await calendar.claim('publish')).toBeUndefined();
    expect(await calendar.places()).toEqual({ a: 'idle' });
  });

  it('takes in what plain producers added and what was scheduled, when it is due', async ({ world }) => {
    const calendar = await open(world);
    const { queue } = calendar.queue('publish');
    const later = await calendar.add('publish', { at: calendar.now + 1_000 });
    const plain = await queue.add('x', { lk: 1, payload: null, agent: 'a' });
    const ranked = await queue.add('x', 'no envelope', { priority: 2 });
    await calendar.beat();
    expect(await calendar.line('publish', 'a')).toEqual([plain.id]);
    expect(await calendar.line('publish')).toEqual([ranked.id]);
    await calendar.after(1_001);
    await calendar.beat();
    expect(await calendar.line('publish')).toEqual([later, ranked.id]);
  });
});

const FOLDER = join(ROOT, 'src', 'store', 'calendar');
describe.each((await readdir(FOLDER)).filter((name) => name.endsWith('.lua')))('%s', (file) => {
  it('opens with what it is for, and lies in dist/', async () => {
    const lua = await readFile(join(FOLDER, file), 'utf8');
    expect(lua.startsWith('-- ')).toBe(true);
    expect(existsSync(join(ROOT, 'dist', 'store', 'calendar', file))).toBe(true);
  });
});
