// Limits changed while everything runs: by whom, why and until when; heard by all at once, journalled, and refused in one line.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { releaseLimits, resetLimit, setLimit } from '../../src/path/limit-orders.ts';
import type { LimitedLane } from '../../src/path/limit-wait.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { setLimit as writeLimit } from '../../src/store/scripts/set-limit.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { LIMIT_DRIVERS } from '../../src/words/limit.ts';
import { journalled } from '../support/journalled.ts';
import { it, type World } from '../support/world.ts';
import { COUNT, type Limited, limit, limitedUpstream, SLOTS } from './limited-upstream.ts';
import { RETRYING, rejection } from './looking.ts';

function orderOf({ redis, keys }: World, { upstream }: Limited, reason = 'slow today', lanes: LimitedLane[] = []) {
  const told = () => journalled({ redis, keys }, upstream.name);
  return { told, order: { redis, keys, upstream, queues: [], lanes, who: 'ann@desk', reason } };
}

async function limited(world: World): Promise<Limited> {
  const made = await limitedUpstream(world);
  await made.say('p1', [SLOTS, COUNT]);
  return made;
}

const sizeOf = async ({ look }: Limited, name: string) => (await look()).limits.find((one) => one.limit === name)?.size;

describe('an order', () => {
  it('holds at once, says what was before, and is journalled; a second one replaces it', async ({ world }) => {
    const forum = await limited(world);
    const { told, order } = orderOf(world, forum);
    expect(await setLimit(order, 'concurrent', { size: 2 })).toEqual({
      upstream: 'forum',
      limit: 'concurrent',
      before: 3,
      after: 2,
      definedSize: 3,
      untilAt: null,
      inUse: 0,
      called: 0,
    });
    expect(await setLimit(order, 'concurrent', { size: 9, for: '30m' })).toMatchObject({ before: 2, after: 9 });
    const seen = (await forum.look()).limits.find((one) => one.limit === 'concurrent');
    expect(seen).toMatchObject({
      size: 9,
      definedSize: 3,
      override: { size: 9, who: 'ann@desk', reason: 'slow today' },
    });
    const { setAt = 0, untilAt = 0 } = seen?.override ?? {};
    expect((untilAt ?? 0) - setAt).toBe(30 * 60_000);
    const set = { what: 'limit.set', who: 'ann@desk', upstream: 'forum', limit: 'concurrent', reason: 'slow today' };
    expect(await told()).toEqual([
      { ...set, before: 3, after: 2, defined: 3, untilAt: null },
      { ...set, before: 2, after: 9, defined: 3, untilAt },
    ]);
    expect(await sizeOf(forum, 'per-1m'), 'the others stay').toBe(60);
  });

  it('is told to every pod, and a reset that changes nothing to none', async ({ world }) => {
    const forum = await limited(world);
    const { order } = orderOf(world, forum);
    const heard: string[] = [];
    const listener = world.redis.duplicate();
    world.defer(() => listener.disconnect());
    listener.on('message', (_, text) => heard.push(text));
    await listener.subscribe(world.keys.limitNotice('forum'));
    expect(await resetLimit(order)).toEqual([]);
    await setLimit(order, 'concurrent', { size: 2 });
    await resetLimit(order, 'concurrent');
    const changed = '{"kind":"changed"}';
    await vi.waitFor(() => expect(heard).toEqual([changed, changed]), RETRYING);
  });

  it('ends at its instant by the clock of Redis, and is then gone', async ({ world }) => {
    const forum = await limited(world);
    const { order, told } = orderOf(world, forum);
    await setLimit(order, 'concurrent', { size: 2, for: '50ms' });
    await vi.waitFor(async () => expect(await sizeOf(forum, 'concurrent')).toBe(3), RETRYING);
    expect(await resetLimit(order, 'concurrent'), 'there is nothing to reset').toEqual([]);
    expect(await world.redis.hexists(world.keys.limits('forum'), 'set:concurrent')).toBe(0);
    expect((await told()).map(({ what }) => what)).toEqual(['limit.set']);
  });

  it('without an end stays, whatever the pods say anew (twin)', async ({ world }) => {
    const forum = await limited(world);
    await setLimit(orderOf(world, forum).order, 'concurrent', { size: 2 });
    await forum.say('p2', [{ ...SLOTS, size: 1 }]);
    expect(await sizeOf(forum, 'concurrent')).toBe(2);
  });

  it('below what is in use says how much that is', async ({ world }) => {
    const forum = await limited(world);
    await forum.hold({ 'publish|p1': 3 });
    expect(await setLimit(orderOf(world, forum).order, 'concurrent', { size: 1 })).toMatchObject({
      after: 1,
      inUse: 3,
    });
  });

  it('is reset, one or all, and journalled', async ({ world }) => {
    const forum = await limited(world);
    const { order, told } = orderOf(world, forum, 'well again');
    await setLimit(order, 'concurrent', { size: 2 });
    await setLimit(order, 'per-1m', { size: 6 });
    await forum.set({ 'set:gone': JSON.stringify({ size: 1, who: 'x', reason: 'r', at: 1, until: null }) });
    expect((await forum.look()).unused).toMatchObject([{ limit: 'gone', who: 'x' }]);
    const before = (await told()).length;
    expect(await resetLimit(order, 'concurrent')).toMatchObject([{ limit: 'concurrent', before: 2, after: 3 }]);
    expect((await resetLimit(order)).map(({ limit, before, after }) => [limit, before, after])).toEqual([
      ['per-1m', 6, 60],
      ['gone', 1, null],
    ]);
    const reset = { what: 'limit.reset', who: 'ann@desk', upstream: 'forum', reason: 'well again' };
    expect((await told()).slice(before)).toEqual([
      { ...reset, limit: 'concurrent', before: 2, after: 3, defined: 3 },
      { ...reset, limit: 'per-1m', before: 6, after: 60, defined: 60 },
      { ...reset, limit: 'gone', before: 1, after: null, defined: null },
    ]);
    expect((await forum.look()).unused).toEqual([]);
  });

  it('works when Redis has forgotten the script', async ({ world }) => {
    const forum = await limited(world);
    await setLimit(orderOf(world, forum).order, 'concurrent', { size: 2 });
    await world.redis.script('FLUSH');
    expect(await setLimit(orderOf(world, forum).order, 'concurrent', { size: 4 })).toMatchObject({ before: 2 });
  });

  it('keeps any text and instant as they were given', async ({ world }) => {
    const reason = 'ünïcode "quoted" \\ / {} \u2028 日本';
    const now = await redisNow(world.redis);
    const forMs = 100 * 365 * 86_400_000;
    const { after } = await writeLimit.run(
      world.redis,
      { limits: world.keys.limits('forum'), journal: world.keys.journal('forum') },
      {
        limit: 'concurrent',
        size: 1_000_000_000,
        who: 'a',
        reason,
        forMs,
        notice: world.keys.limitNotice('forum'),
        known: JSON.stringify({ upstream: 'forum', limit: 'concurrent', reason }),
        defined: '',
      },
    );
    expect(await journalled(world, 'forum')).toMatchObject([{ reason, after: 1_000_000_000, defined: null }]);
    expect(after).toMatchObject({ size: 1_000_000_000, reason });
    expect((after?.untilAt ?? 0) - (after?.setAt ?? 0)).toBe(forMs);
    expect(Math.abs((after?.setAt ?? 0) - now)).toBeLessThan(60_000);
  });
});

describe('a hold', () => {
  const held = async (world: World) => {
    const forum = await limited(world);
    const told = JSON.stringify({ reason: '429 Retry-After', who: 'p1', at: forum.nowAt });
    await forum.set({ hold: forum.nowAt + 3_600_000, held: told });
    return forum;
  };

  it('is ended for all by order, told to every pod and journalled', async ({ world }) => {
    const forum = await held(world);
    const { order, told } = orderOf(world, forum, 'they lifted it');
    const heard: string[] = [];
    const listener = world.redis.duplicate();
    world.defer(() => listener.disconnect());
    listener.on('message', (_, text) => heard.push(text));
    await listener.subscribe(world.keys.limitNotice('forum'));
    const released = { upstream: 'forum', toldBy: 'p1', told: '429 Retry-After' };
    const { leftMs } = await releaseLimits(order);
    expect(leftMs).toBeGreaterThan(3_000_000);
    const by = { what: 'limit.released', who: 'ann@desk', reason: 'they lifted it' };
    const beforeAt = forum.nowAt + 3_600_000;
    expect(await told()).toEqual([{ ...released, ...by, leftMs, beforeAt, afterAt: null }]);
    expect((await forum.look()).hold).toBeNull();
    await vi.waitFor(() => expect(heard).toEqual(['{"kind":"released"}']), RETRYING);
  });

  it('that is ended calls who met the 429 and who found it held, and not who waits for a limit of its own', async ({
    world,
  }) => {
    const forum = await held(world);
    const lane = defineLane({ name: 'publish', upstream: forum.upstream });
    const queue = world.queue(lane);
    const reasons = [
      'POST /posts: 429 slow down',
      'forum lets nobody through now',
      "limit 'tokens-per-1m' of forum: full",
    ];
    for (const [index, reason] of reasons.entries()) {
      await world.redis.zadd(queue.backend.toKey('delayed'), (forum.nowAt + 3_600_000) * 4_096, `j${index}`);
      await world.redis.hset(queue.jobKey(`j${index}`), { [JOB_FIELDS.gate]: 'limit', [JOB_FIELDS.reason]: reason });
    }
    const { order } = orderOf(world, forum);
    expect(await releaseLimits({ ...order, queues: [queue] })).toMatchObject({ called: 2 });
    const late = await world.redis.zrangebyscore(
      queue.backend.toKey('delayed'),
      (forum.nowAt + 60_000) * 4_096,
      '+inf',
    );
    expect(late).toEqual(['j2']);
  });

  it('that is not cannot be ended, and nothing is told', async ({ world }) => {
    const forum = await limited(world);
    const { order, told } = orderOf(world, forum);
    expect(await rejection(releaseLimits(order))).toMatchObject({
      code: 'LK_STATE',
      message: `upstream "forum" is not held: expected a hold to end, found none; see 'lanekeeper limits forum'`,
    });
    await forum.set({ hold: forum.nowAt - 1 });
    expect(await rejection(releaseLimits(order))).toMatchObject({ code: 'LK_STATE' });
    expect(await told()).toEqual([]);
  });

  it('stays while only a limit is reset (twin)', async ({ world }) => {
    const forum = await held(world);
    await resetLimit(orderOf(world, forum).order);
    expect((await forum.look()).hold).not.toBeNull();
  });
});

describe('a wrong order', () => {
  it('that leaves a lane fewer than a job needs at once is refused by name; for the others it is none (twin)', async ({
    world,
  }) => {
    const forum = await limited(world);
    const lanes = [
      { name: 'publish', requests: 2 },
      { name: 'collect', requests: 1 },
    ];
    const { order, told } = orderOf(world, forum, 'slow', lanes);
    expect(await rejection(setLimit(order, 'concurrent', { size: 1 }))).toMatchObject({
      code: 'LK_INPUT',
      message:
        'limit "concurrent" of upstream "forum": expected at least 2, because that is what a job needs at once of ' +
        'lane "publish" (requests: 2), got 1: to stop a lane use pause, to run with less lower its requests',
    });
    expect(await told()).toEqual([]);
    expect(await sizeOf(forum, 'concurrent')).toBe(3);
    expect(await setLimit(order, 'concurrent', { size: 2 })).toMatchObject({ after: 2 });
    expect(await setLimit(order, 'per-1m', { size: 1 })).toMatchObject({ after: 1 });
  });

  it.for([
    [0, /a whole number from 1 to 1000000 \(to let nothing through, pause its lanes\), got 0/],
    [-1, /got -1$/],
    [1.5, /got 1.5$/],
    [Number.NaN, /got NaN$/],
    [Number.POSITIVE_INFINITY, /got Infinity$/],
    [1_000_001, /got 1000001$/],
    ['5', /got "5"$/],
    [undefined, /got nothing$/],
  ] as const)('of size %s is refused in one line and changes nothing', async ([size, said], { world }) => {
    const forum = await limited(world);
    const { order, told } = orderOf(world, forum);
    const before = await world.redis.hgetall(world.keys.limits('forum'));
    const refused = await rejection(setLimit(order, 'concurrent', { size }));
    expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringMatching(said) });
    expect(refused.message).toContain('limit "concurrent" of upstream "forum": expected');
    expect(await world.redis.hgetall(world.keys.limits('forum'))).toEqual(before);
    expect(await told()).toEqual([]);
  });

  it.for(['0s', 'soon', -1, ''])('for %j is refused', async (forSome, { world }) => {
    const forum = await limited(world);
    const { order } = orderOf(world, forum);
    const refused = await rejection(setLimit(order, 'concurrent', { size: 2, for: forSome }));
    expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringMatching(/^for: expected a duration/) });
    expect(await sizeOf(forum, 'concurrent')).toBe(3);
  });

  it('that leaves fewer tokens than a lane always needs is refused; one that estimates each job waits (twin)', async ({
    world,
  }) => {
    const forum = await limitedUpstream(world);
    await forum.say('p1', [limit('tokens', 100, 60_000)]);
    const lanes = [
      { name: 'draft', requests: 1, tokens: 60 },
      { name: 'check', requests: 1, tokens: () => 60 },
    ];
    const name = 'tokens-per-1m';
    const all = orderOf(world, forum, 'slow', lanes);
    expect((await rejection(setLimit(all.order, name, { size: 59 }))).message).toBe(
      'limit "tokens-per-1m" of upstream "forum": expected at least 60, because that is what a job needs at once of ' +
        'lane "draft" (tokens: 60), got 59: to stop a lane use pause, to run with less lower its tokens',
    );
    expect(await all.told()).toEqual([]);
    const { order } = orderOf(world, forum, 'slow', lanes.slice(1));
    expect(await setLimit(order, name, { size: 59 })).toMatchObject({ after: 59 });
    expect(await setLimit(order, name, { size: 1_000_000_000 }), 'as large as in a definition').toMatchObject({
      before: 59,
    });
  });

  it('that raises a limit beyond what another lets through is refused, until that one is raised; to lower is free (twin)', async ({
    world,
  }) => {
    const forum = await limitedUpstream(world);
    await forum.say('p1', [limit('count', 5, 1_000), COUNT, SLOTS]);
    const { order, told } = orderOf(world, forum);
    expect(await rejection(setLimit(order, 'per-1s', { size: 61 }))).toMatchObject({
      code: 'LK_INPUT',
      message:
        'limit "per-1s" of upstream "forum": expected at most 60, because \'per-1m\' lets no more through, got 61: raise that one first',
    });
    expect(await told()).toEqual([]);
    expect(await sizeOf(forum, 'per-1s')).toBe(5);
    await setLimit(order, 'per-1m', { size: 70 });
    await setLimit(order, 'per-1s', { size: 61 });
    await setLimit(order, 'per-1m', { size: 3 });
    expect(await setLimit(order, 'per-1s', { size: 60 }), 'less than it was').toMatchObject({ before: 61, after: 60 });
    expect(await setLimit(order, 'concurrent', { size: 1_000 }), 'of another kind').toMatchObject({ after: 1_000 });
  });

  it('that Bottleneck cannot keep is refused by its name; the scripts keep it (twin)', async ({ world }) => {
    for (const driver of LIMIT_DRIVERS) {
      const forum = await limitedUpstream(world, defineUpstream({ name: driver }));
      await forum.say('p1', [limit('count', 20, 1_000)], 0, driver);
      await forum.set({ driver });
      const { order } = orderOf(world, forum);
      expect(await setLimit(order, 'per-1s', { size: 100 })).toMatchObject({ after: 100 });
      const more = setLimit(order, 'per-1s', { size: 101 });
      if (driver === 'scripts') expect(await more).toMatchObject({ after: 101 });
      else
        expect((await rejection(more)).message).toBe(
          'limit "per-1s" of upstream "bottleneck": expected at most 100 with driver \'bottleneck\', which cannot keep more, got 101: use driver \'scripts\'',
        );
    }
  });

  it('for a limit that is not, names those that are', async ({ world }) => {
    const forum = await limited(world);
    const { order } = orderOf(world, forum);
    for (const refused of [
      await rejection(setLimit(order, 'per-1h', { size: 2 })),
      await rejection(resetLimit(order, 'x')),
    ]) {
      expect(refused).toMatchObject({
        code: 'LK_UNKNOWN',
        message: expect.stringMatching(
          /^upstream "forum" has no limit "(per-1h|x)": expected one of (concurrent|per-1m), /,
        ),
      });
    }
    const bare = orderOf(world, await limitedUpstream(world, { ...forum.upstream, name: 'bare' }));
    expect(await rejection(setLimit(bare.order, 'concurrent', { size: 2 }))).toMatchObject({
      code: 'LK_UNKNOWN',
      message: 'upstream "bare" has no limits: its definition names none',
    });
  });
});
