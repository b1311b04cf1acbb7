// Which pods run: each says so, a silent one is no longer alive, and one that is long silent is forgotten.

import { describe, expect, vi } from 'vitest';
import { type PodFacts, readPods } from '../../src/engine/presence.ts';
import { defineLane, handle } from '../../src/index.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { RETRYING } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const handlers = ['b', 'a'].map((name) => handle(defineLane({ name }), { run: () => null }));
const facts: PodFacts = {
  pid: 1,
  host: 'h',
  lanes: ['a'],
  concurrency: 8,
  state: 'running',
  startedAt: 0,
  metricsUrl: null,
  version: '1',
  prints: {},
};

/** As a pod would have said it, so long ago by the clock of Redis. */
async function saidAgo(world: World, pod: string, agoMs: number): Promise<void> {
  const seenAt = (await redisNow(world.redis)) - agoMs;
  await world.redis.hset(world.keys.pods(), pod, JSON.stringify({ ...facts, seenAt }));
}

describe('a pod', () => {
  it('says what it runs as soon as it starts, and is gone when it is stopped', async ({ world }) => {
    const pod = await world.pod(handlers, { concurrency: 5, metricsUrl: 'http://127.0.0.1:9464/metrics' });
    await vi.waitFor(async () => {
      expect(await readPods(world.redis, world.keys)).toMatchObject([
        {
          pod: pod.name,
          isAlive: true,
          lanes: ['b', 'a'],
          concurrency: 5,
          state: 'running',
          pid: process.pid,
          metricsUrl: expect.any(String),
        },
      ]);
    }, RETRYING);
    await pod.stop('over');
    expect(await readPods(world.redis, world.keys)).toEqual([]);
  });

  it('says so again and again', async ({ world }) => {
    const pod = await world.pod(handlers);
    const seenAt = async () => (await readPods(world.redis, world.keys))[0]?.seenAt ?? 0;
    await vi.waitFor(async () => expect(await seenAt()).toBeGreaterThan(0), RETRYING);
    const first = await seenAt();
    await vi.waitFor(async () => expect(await seenAt()).toBeGreaterThan(first), RETRYING);
    expect((await readPods(world.redis, world.keys)).map((one) => one.pod)).toEqual([pod.name]);
  });

  it.for([
    [1_000, true],
    [6_000, true],
    [8_000, false],
    [55_000, false],
  ] as const)('that spoke %d ms ago is alive: %s', async ([agoMs, isAlive], { world }) => {
    await saidAgo(world, 'p', agoMs);
    expect(await readPods(world.redis, world.keys)).toMatchObject([{ pod: 'p', isAlive }]);
  });

  it('that has been silent for more than a minute is forgotten by whoever looks', async ({ world }) => {
    await saidAgo(world, 'killed', 70_000);
    await saidAgo(world, 'alive', 0);
    await readPods(world.redis, world.keys);
    expect(await world.redis.hkeys(world.keys.pods())).toEqual(['alive']);
  });
});
