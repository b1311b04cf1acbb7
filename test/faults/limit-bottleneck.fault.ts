// The driver of limits on Bottleneck: what holds by the second, also when the state is lost or the limit made smaller; pods that are
// killed or stopped for longer than their lease; a Redis that is killed.

import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { countBy, machineMs, mostAtOnce, mostWithin } from '../store/limit-ledger.ts';
import { concurrent, orderSize, perSecond, usersOf } from '../store/limit-users.ts';
import { it } from '../support/world.ts';

const TAG = 'forum';

const work = (parallel: number, workMs: number) => ({ lane: 'a', parallel, workMs, weight: 1 });
const since = <E extends { beganMs: number }>(entries: E[], atMs: number) =>
  entries.filter(({ beganMs }) => beganMs > atMs);

describe('four pods', () => {
  it('share 20 a second: never a 21st in any sliding second, each pod its part, not much lost', async ({ world }) => {
    const users = await usersOf(world, TAG, [concurrent(50), perSecond(20)]);
    for (const pod of ['p0', 'p1', 'p2', 'p3']) users.add(pod, { works: [work(20, 20)] });
    for (const pod of ['p0', 'p1', 'p2', 'p3']) await users.begun(pod, 0);
    const fromMs = machineMs();
    await users.begun('p0', fromMs, 20);
    const seconds = (machineMs() - fromMs) / 1_000;
    await users.stop();
    const during = since(users.entries(), fromMs);
    expect(mostWithin(users.entries(), 1_000)).toBeLessThanOrEqual(20);
    for (const count of Object.values(countBy(during, 'pod'))) expect(count).toBeGreaterThan(during.length / 8);
    expect(during.length / (20 * seconds)).toBeGreaterThan(0.2); // 0.66 was seen on a busy machine, 0.37 where others computed on every core
  });
});

describe('when the state is gone', () => {
  it('nothing is granted for a window, and then all goes on; unpatched it never does (twin)', async ({ world }) => {
    const patched = await usersOf(world, 'patched', [perSecond(20)]);
    const stock = await usersOf(world, 'stock', [perSecond(20)]);
    for (const pod of ['p0', 'p1']) {
      patched.add(pod, { works: [work(10, 20)] });
      stock.add(pod, { works: [work(10, 20)], without: 'recovery' });
    }
    for (const users of [patched, stock]) for (const pod of ['p0', 'p1']) await users.begun(pod, 0, 10);
    const gone = await world.redis.keys(`${world.prefix}:u:*`);
    const beforeMs = machineMs();
    await world.redis.unlink(...gone);
    const goneMs = machineMs();
    for (const pod of ['p0', 'p1']) await patched.begun(pod, goneMs, 40);
    await Promise.all([patched.stop(), stock.stop()]);
    const after = since(patched.entries(), goneMs);
    expect(mostWithin(patched.entries(), 1_000)).toBeLessThanOrEqual(20);
    expect((after.find(({ beganMs }) => beganMs > goneMs + 30)?.beganMs ?? 0) - beforeMs).toBeGreaterThan(900);
    expect(since(stock.entries(), goneMs + 200)).toEqual([]);
  });
});

describe('a count', () => {
  it('made smaller holds in every pod within a second, with what counts already', async ({ world }) => {
    const perMs = 3_000;
    const users = await usersOf(world, TAG, [{ ...perSecond(60), name: 'per-3s', perMs }]);
    for (const pod of ['p0', 'p1']) users.add(pod, { works: [work(10, 20)] });
    for (const pod of ['p0', 'p1']) await users.begun(pod, 0, 25);
    await orderSize(world, TAG, 'per-3s', 12);
    const heardMs = machineMs() + 1_000;
    for (const pod of ['p0', 'p1']) await users.begun(pod, heardMs, 4);
    await users.stop();
    const entries = users.entries();
    const counting = since(entries, heardMs).map(
      ({ beganMs }) => entries.filter((other) => other.beganMs > beganMs - perMs && other.beganMs <= beganMs).length,
    );
    expect(Math.max(...counting)).toBeLessThanOrEqual(12);
  });
});

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
