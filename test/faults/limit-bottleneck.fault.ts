// The driver of limits on Bottleneck when pods are killed or stopped for longer than their lease, and when Redis is killed.

import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { machineMs, mostAtOnce, mostWithin } from '../store/limit-ledger.ts';
import { concurrent, perSecond, usersOf } from '../store/limit-users.ts';
import { it } from '../support/world.ts';

const TAG = 'forum';

const work = (parallel: number, workMs: number) => ({ lane: 'a', parallel, workMs, weight: 1 });
const since = <E extends { beganMs: number }>(entries: E[], atMs: number) =>
  entries.filter(({ beganMs }) => beganMs > atMs);

describe('a pod', () => {
  it('killed gives its slots back when their lease ends; stopped for longer it comes back and begins nothing with what it had', async ({
    world,
  }) => {
    const patched = await usersOf(world, 'patched', [concurrent(4)]);
    const stock = await usersOf(world, 'stock', [concurrent(4)]);
    const careless = await usersOf(world, 'careless', [concurrent(4)]);
    for (const pod of ['killed', 'stopped', 'other']) patched.add(pod, { works: [work(4, 50)] });
    for (const pod of ['stopped', 'other']) stock.add(pod, { works: [work(4, 50)], without: 'recovery' });
    // Alone, so that it has them all.
    careless.add('stopped', { works: [{ ...work(4, 50), isCareless: true }] });
    for (const pod of ['killed', 'stopped', 'other']) await patched.begun(pod, 0, 5);
    for (const pod of ['stopped', 'other']) await stock.begun(pod, 0, 5);
    await careless.begun('stopped', 0, 9);
    patched.kill('killed');
    for (const users of [patched, stock, careless]) users.pause('stopped');
    const pausedMs = machineMs();
    careless.add('other', { works: [work(4, 50)] });
    await vi.waitUntil(() => machineMs() > pausedMs + 17_000, { timeout: 20_000, interval: 100 });
    const fullMs = machineMs();
    for (const users of [patched, careless]) {
      await vi.waitUntil(() => mostAtOnce(since(users.entries(), fullMs)) === 4, { timeout: 5_000, interval: 100 });
    }
    for (const users of [patched, stock, careless]) users.wake('stopped');
    const wokenMs = machineMs();
    await patched.begun('stopped', wokenMs, 10);
    await Promise.all([patched.stop(), careless.stop()]);
    for (const pod of ['stopped', 'other']) stock.kill(pod);
    expect(mostAtOnce(patched.entries())).toBe(4);
    expect(mostAtOnce(careless.entries()), 'of those that do not look at their deadline (twin)').toBeGreaterThan(4);
    const late = stock.entries().filter(({ pod, beganMs }) => pod === 'stopped' && beganMs > wokenMs + 300);
    expect(late, 'unpatched it is lost (twin)').toEqual([]);
  });
});

describe('a Redis of its own', () => {
  it('killed and started again goes on with what was held, and grants again', async ({ world }) => {
    const redis = await startEmbeddedRedis({
      dataDir: await world.folder(),
      cacheDir: join(ROOT, '.lanekeeper', 'server'),
      say: () => {},
    });
    world.defer(() => redis.stop());
    const users = await usersOf(world, TAG, [concurrent(3), perSecond(50)]);
    for (const pod of ['p0', 'p1']) users.add(pod, { works: [work(5, 50)], redisUrl: redis.url });
    for (const pod of ['p0', 'p1']) await users.begun(pod, 0, 10);
    process.kill(redis.pid, 'SIGKILL');
    await redis.restart();
    const backMs = machineMs();
    for (const pod of ['p0', 'p1']) await users.begun(pod, backMs, 20);
    await users.stop();
    expect(mostAtOnce(users.entries())).toBeLessThanOrEqual(3);
    expect(mostWithin(users.entries(), 1_000)).toBeLessThanOrEqual(50);
  });
});
