// What is seen of limits while pods keep them, with either driver: who holds the slots, in `limits`, `why` and the gauges; and that
// pods which differ are told of once.

import { describe, expect, vi } from 'vitest';
import { createMetrics } from '../../src/engine/metrics.ts';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { explainJob, showJob } from '../../src/path/inspect.ts';
import { lookAtLimits } from '../../src/path/limit-look.ts';
import { releaseLimits, setLimit } from '../../src/path/limit-orders.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { holdLimits } from '../../src/store/scripts/hold-limits.ts';
import { LIMIT_DRIVERS, type LimitDriverName } from '../../src/words/limit.ts';
import { it, type World } from '../support/world.ts';
import { gate, RETRYING } from './looking.ts';

/** As one pod's folder defines it. */
function laneOf(driver: LimitDriverName, all: LimitOptions[]) {
  return defineLane({ name: 'publish', upstream: defineUpstream({ name: 'forum', limits: { driver, all } }) });
}

async function driftsOf({ redis, keys }: World) {
  const entries = await redis.xrange(keys.journal('forum'), '-', '+');
  return entries.flatMap(([id, fields]) => readBatch(id, fields)).filter(({ what }) => what === 'limit.drift');
}

describe.each(LIMIT_DRIVERS)('pods on %s', (driver) => {
  it('are seen with the slots they hold, until they give them back', async ({ world }) => {
    const { redis, keys } = world;
    // Its state counts as known: the first pod of all waits otherwise.
    await redis.hset(keys.limits('forum'), 'born', 1);
    const lane = laneOf(driver, [{ concurrent: 2 }]);
    const { upstream } = lane;
    const held = gate();
    const pod = await world.pod([handle(lane, { run: () => held.opened })]);
    const producer = await world.producer();
    for (let index = 0; index < 3; index++) await producer.add(lane, null);
    const look = () => lookAtLimits(redis, keys, upstream as NonNullable<typeof upstream>);
    const holders = [{ lane: 'publish', pod: pod.name, count: 2 }];
    await vi.waitFor(
      async () => expect((await look()).limits).toMatchObject([{ limit: 'concurrent', inUse: 2, size: 2, holders }]),
      { timeout: 10_000, interval: 20 },
    );
    expect((await look()).limits[0]?.byLane).toEqual([{ lane: 'publish', count: 2 }]);
    const laneQueue = world.queue(lane);
    const [id = ''] = await redis.lrange(laneQueue.backend.toKey('wait'), 0, -1);
    const why = await explainJob(laneQueue, lane, id, 1, async () => ({ limits: await look() }));
    expect(why).toMatchObject({
      gate: 'limit',
      because: expect.stringContaining(`2 of 2 concurrent are in use (publish on ${pod.name} 2)`),
    });
    const metrics = createMetrics('1');
    metrics.watchLimits(async () => [await look()]);
    const inUse = 'lanekeeper_limit_in_use{upstream="forum",limit="concurrent"}';
    expect(await metrics.registry.metrics()).toContain(`${inUse} 2`);
    held.open();
    // Once before the third job as well.
    await vi.waitFor(async () => {
      expect((await look()).limits).toMatchObject([{ inUse: 0, byLane: [] }]);
      expect((await metrics.registry.metrics()).includes(`${inUse} 0`)).toBe(true);
    }, RETRYING);
  });

  it.for([true, false])('that are held go on when somebody ends the hold: %s', async (isEnded, { world }) => {
    const { redis, keys } = world;
    await redis.hset(keys.limits('forum'), 'born', 1);
    const lane = laneOf(driver, [{ concurrent: 2 }]);
    const upstream = lane.upstream as NonNullable<typeof lane.upstream>;
    let ran = 0;
    const pod = await world.pod([handle(lane, { run: () => void ran++ })]);
    const producer = await world.producer();
    await producer.add(lane, null);
    await vi.waitFor(() => expect(ran).toBe(1), RETRYING);
    const channel = keys.limitNotice('forum');
    // As another pod tells that the upstream said so.
    await holdLimits.run(
      redis,
      { limits: keys.limits('forum') },
      { forMs: 3_600_000, reason: '429', who: 'p9', channel },
    );
    const laneQueue = world.queue(lane);
    const { id } = await producer.add(lane, null);
    const order = { redis, keys, upstream, lanes: [], who: 'ann', reason: 'r' };
    const before = Date.now();
    if (isEnded) {
      await releaseLimits({ ...order, queues: [laneQueue] });
      await vi.waitFor(() => expect(ran).toBe(2), RETRYING);
      return;
    }
    // Without it (twin), for longer than that took.
    await vi.waitUntil(() => Date.now() - before > 1_500, RETRYING);
    expect(ran).toBe(1);
    expect(await showJob(laneQueue, id)).toMatchObject({ state: 'waiting' });
    await pod.stop('over', 0);
  });

  it.for([true, false])(
    'with slots that they hand on from job to job keep to less within a second: %s',
    async (isSet, { world }) => {
      const { redis, keys } = world;
      await redis.hset(keys.limits('forum'), 'born', 1);
      const lane = laneOf(driver, [{ concurrent: 6 }]);
      const upstream = lane.upstream as NonNullable<typeof lane.upstream>;
      let running = 0;
      let most = 0;
      const run = async () => {
        most = Math.max(most, ++running);
        const beganAt = Date.now();
        await vi.waitUntil(() => Date.now() - beganAt >= 20, { interval: 5 });
        running--;
      };
      for (let pod = 0; pod < 2; pod++) await world.pod([handle(lane, { run })]);
      const producer = await world.producer();
      await producer.addMany(
        lane,
        Array.from({ length: 1_000 }, () => ({ payload: null })),
      );
      await vi.waitUntil(() => running === 6, RETRYING);
      const order = { redis, keys, upstream, queues: [], lanes: [lane], who: 'ann', reason: 'slow' };
      if (isSet) await setLimit(order, 'concurrent', { size: 2 });
      const setAt = Date.now();
      await vi.waitUntil(() => Date.now() - setAt > 1_000, RETRYING);
      most = 0;
      await vi.waitUntil(() => Date.now() - setAt > 1_500, RETRYING);
      if (isSet) expect(most).toBeLessThanOrEqual(2);
      else expect(most, 'nobody ordered it (twin)').toBeGreaterThan(2);
    },
  );

  it('that begin to differ are told of once, whoever joins or leaves; those alike never (twin)', async ({ world }) => {
    const start = (...all: LimitOptions[]) => world.pod([handle(laneOf(driver, all), { run() {} })]);
    const isKnown = (pod: string) =>
      vi.waitFor(
        async () => expect(await world.redis.hexists(world.keys.limitDefinitions('forum'), `def:${pod}`)).toBe(1),
        RETRYING,
      );
    // A pod makes itself known when it first asks: nothing would ask without work.
    const producer = await world.producer();
    const join = async (...all: LimitOptions[]) => {
      const pod = await start(...all);
      for (let index = 0; index < 4; index++) await producer.add(laneOf(driver, all), null);
      await isKnown(pod.name);
      return pod;
    };
    const [first, second] = [await join({ concurrent: 3 }), await join({ concurrent: 3 })];
    expect(await driftsOf(world)).toEqual([]);
    const third = await join({ concurrent: 2 });
    const both = [first.name, second.name].sort();
    const told = {
      upstream: 'forum',
      limit: 'concurrent',
      sizes: [
        { size: 2, pods: [third.name] },
        { size: 3, pods: both },
      ],
    };
    await vi.waitFor(async () => expect(await driftsOf(world)).toMatchObject([told]), RETRYING);
    await join({ concurrent: 2 });
    await first.stop('deploy');
    expect(await driftsOf(world)).toHaveLength(1);
    await join({ concurrent: 2 }, { count: 60, per: '1m' });
    await vi.waitFor(async () => expect(await driftsOf(world)).toHaveLength(2), RETRYING);
    expect((await driftsOf(world))[1]).toMatchObject({ limit: 'per-1m', sizes: [{ size: 60 }, { size: null }] });
  });
});
