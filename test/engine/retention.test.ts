// Dead letters that are too old or too many leave: oldest first, counted, told with the reason, also those of a time without
// pods, and never more than that.

import { describe, expect, vi } from 'vitest';
import { createMetrics } from '../../src/engine/metrics.ts';
import { createRetention, RETENTION_MS } from '../../src/engine/retention.ts';
import { dead, defineLane, handle, type Lane } from '../../src/index.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { createEventHub, type Events } from '../../src/words/events.ts';
import { bury, letterId } from '../path/letter-flood.ts';
import { keysOf, RETRYING, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const HOUR = 3_600_000;
const few = defineLane({ name: 'kept', dead: { keep: '1h', max: 5 }, retry: { attempts: 1 } });

/** One beat of a pod that works on the lane; with its turn when nobody else has it. */
function retaining(world: World, lane: Lane, pod = 'pod-1') {
  const laneQueue = world.queue(lane);
  const events = createEventHub();
  const told: Events['dead.expired'][] = [];
  const failing: unknown[] = [];
  events.on('dead.expired', (data) => void told.push(data));
  events.on('redis.failing', (data) => void failing.push(data));
  const { redis, keys } = world;
  const retention = createRetention({ pod, redis, keys, lanes: [{ lane, laneQueue }], events });
  const letters = () => redis.zrange(laneQueue.backend.toKey('failed'), 0, '-1');
  const free = () => redis.del(keys.retention(lane));
  return { retention, events, told, failing, laneQueue, letters, free };
}

describe('a beat', () => {
  it('removes what is older than the lane keeps, whole, and tells how many and why', async ({ world }) => {
    const { retention, told, laneQueue, letters } = retaining(world, defineLane({ name: 'old', dead: { keep: '1h' } }));
    const nowAt = Date.now();
    await bury(laneQueue, { count: 450, diedAt: (n) => nowAt - (n < 430 ? 2 * HOUR : HOUR / 2) + n });
    await retention.once();
    expect(told).toEqual([{ lane: 'old', count: 430, why: 'age' }]);
    expect(await letters()).toEqual(Array.from({ length: 20 }, (_, n) => letterId(430 + n)));
    expect((await keysOf(world)).filter((key) => key.includes(':j'))).toHaveLength(20);
  });

  it('removes what is beyond the most it keeps, oldest first, though all died in one millisecond', async ({
    world,
  }) => {
    const { retention, told, laneQueue, letters } = retaining(world, few);
    const nowAt = Date.now();
    await bury(laneQueue, { count: 230, diedAt: () => nowAt - 1_000 });
    await retention.once();
    expect(told).toEqual([{ lane: 'kept', count: 225, why: 'count' }]);
    expect(await letters()).toEqual(Array.from({ length: 5 }, (_, n) => letterId(225 + n)));
  });

  it('tells both reasons apart, and counts no letter twice', async ({ world }) => {
    const { retention, told, laneQueue, letters } = retaining(world, few);
    const nowAt = Date.now();
    await bury(laneQueue, { count: 20, diedAt: (n) => nowAt - (n < 7 ? 2 * HOUR : HOUR / 2) + n });
    await retention.once();
    expect(told).toEqual([
      { lane: 'kept', count: 7, why: 'age' },
      { lane: 'kept', count: 8, why: 'count' },
    ]);
    expect(await letters()).toEqual(Array.from({ length: 5 }, (_, n) => letterId(15 + n)));
  });

  it('leaves what is neither old nor too much, and says nothing (twin)', async ({ world }) => {
    const { retention, told, laneQueue, letters } = retaining(world, few);
    await bury(laneQueue, { count: 5 });
    await retention.once();
    expect(told).toEqual([]);
    expect(await letters()).toHaveLength(5);
    const events = await world.redis.exists(laneQueue.backend.toKey('events'));
    expect(events, 'BullMQ was not even asked').toBe(0);
  });

  it('takes no more than 10,000 and leaves the rest to the next', async ({ world }) => {
    const { retention, told, laneQueue, letters, free } = retaining(world, few);
    await bury(laneQueue, { count: 10_300, diedAt: (n) => 1_700_000_000_000 + n, size: 1 });
    await retention.once();
    expect(told).toEqual([{ lane: 'kept', count: 10_000, why: 'age' }]);
    await free();
    await retention.once();
    expect(told.at(-1)).toEqual({ lane: 'kept', count: 300, why: 'age' });
    expect(await letters()).toEqual([]);
  });

  it('goes by the clock of Redis: a pod that lives in another month removes nothing', async ({ world }) => {
    const { retention, told, laneQueue } = retaining(world, defineLane({ name: 'month' }));
    await bury(laneQueue, { count: 3 });
    vi.useFakeTimers({ now: Date.now() + 60 * 24 * HOUR, toFake: ['Date'] });
    try {
      await retention.once();
    } finally {
      vi.useRealTimers();
    }
    expect(told).toEqual([]);
  });

  it('is one for all pods; two at once would still remove nothing twice and nothing too much', async ({ world }) => {
    const pods = ['a', 'b', 'c'].map((pod) => retaining(world, few, pod));
    const [first] = pods as [(typeof pods)[0]];
    await bury(first.laneQueue, { count: 500 });
    await Promise.all(pods.map(({ retention }) => retention.once()));
    expect(pods.map(({ told }) => told.length).sort()).toEqual([0, 0, 1]);
    expect(await world.redis.pttl(world.keys.retention(few))).toBeLessThan(RETENTION_MS);
    // Without the guard (twin): each finds its turn free.
    await bury(first.laneQueue, { count: 500 });
    const { redis } = world;
    const unguarded = Object.assign(Object.create(redis), { set: async () => 'OK' }) as typeof redis;
    const twins = pods.map(({ laneQueue, events }) =>
      createRetention({ pod: 'x', redis: unguarded, keys: world.keys, lanes: [{ lane: few, laneQueue }], events }),
    );
    await Promise.all(twins.map((twin) => twin.once()));
    const counted = pods.flatMap(({ told }) => told).reduce((sum, { count }) => sum + count, 0);
    expect(counted).toBe(2 * 495);
    expect(await first.letters()).toHaveLength(5);
  });

  it('that fails is told, ends nothing, and what it did is counted', async ({ world }) => {
    const { retention, told, failing, laneQueue, free } = retaining(world, few);
    await bury(laneQueue, { count: 500, diedAt: (n) => 1_700_000_000_000 + n });
    const clean = laneQueue.backend.cleanJobsByState.bind(laneQueue.backend);
    const spy = vi.spyOn(laneQueue.backend, 'cleanJobsByState');
    spy.mockImplementationOnce(clean).mockRejectedValueOnce(new Error('OOM'));
    await retention.once();
    expect(failing).toEqual([{ what: 'retention', reason: 'OOM' }]);
    await free();
    await retention.once();
    expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(500);
  });
});

describe('a pod', () => {
  it('buries without trimming, and removes what lay there before it came: told, journalled, counted', async ({
    world,
  }) => {
    const queue = world.queue(few);
    await bury(queue, { count: 12 });
    const pod = await world.pod([handle(few, { run: () => dead('no') })]);
    const metrics = createMetrics('test');
    metrics.subscribe(pod.events);
    const { id } = await (await world.producer()).add(few, null);
    await untilState(queue, id, 'dead');
    const entries = await vi.waitFor(async () => {
      const found = await world.redis.xrange(world.keys.journal('kept'), '-', '+');
      const expired = found.flatMap((entry) => readBatch(...entry)).filter(({ what }) => what === 'dead.expired');
      expect(expired).not.toEqual([]);
      return expired;
    }, RETRYING);
    expect(entries).toMatchObject([{ lane: 'kept', count: 8, why: 'count', who: pod.name }]);
    expect(await queue.redis.zrange(queue.backend.toKey('failed'), 0, '-1')).toEqual([
      ...[8, 9, 10, 11].map(letterId),
      id,
    ]);
    expect(await metrics.registry.metrics()).toContain('lanekeeper_dead_dropped_total{lane="kept",why="count"} 8');
  });
});
