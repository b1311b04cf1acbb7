// A connection that is cut while Redis has heard commands and nobody its answers: the driver on Bottleneck goes on.

import { expect, vi } from 'vitest';
import type { Patch } from '../../src/store/bottleneck-connection.ts';
import { it, type World } from '../support/world.ts';
import { asks } from './asks.ts';
import { openHeard, TAG } from './bottleneck-driver.ts';
import { concurrent, perSecond } from './limit-users.ts';
import { type SwallowingProxy, swallowingProxy } from './swallowing-proxy.ts';

/** A pod that uses its limits through the proxy, and how often it has had a slot and a ticket. */
async function openThrough(world: World, proxy: SwallowingProxy, without?: Patch) {
  const driver = openHeard(world, 'p0', [concurrent(2), perSecond(50)], { redisUrl: proxy.url, without });
  const using = { proxy, driver, had: 0, isOver: false };
  let freed: readonly string[] = [];
  const use = async () => {
    while (!using.isOver) {
      const granted = await driver.ask(asks({ slots: 1, tickets: 1, freed })).catch(() => undefined);
      freed = granted?.slots ?? [];
      if (freed.length > 0 && granted?.tickets) using.had++;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  void use();
  world.defer(() => {
    using.isOver = true;
  });
  return using;
}

async function openUsing(world: World, without?: Patch) {
  const using = await openThrough(world, await swallowingProxy(world), without);
  await vi.waitUntil(() => using.had >= 5, { timeout: 20_000 });
  return using;
}

/** Loses what comes back for a while, ends the connection, and answers how what was in flight failed; none: it did not. */
async function cut({ proxy, driver }: Awaited<ReturnType<typeof openUsing>>): Promise<string | undefined> {
  proxy.swallow();
  let failed: string | undefined;
  void driver.extend('nobody', 1_000).catch(({ message }) => {
    failed = message;
  });
  await vi.waitUntil(() => proxy.swallowed > 0, { timeout: 5_000 });
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // the time it was seen to hang after
  proxy.cut();
  await vi.waitUntil(() => failed, { timeout: 500 }).catch(() => {});
  return failed;
}

it('a connection cut with commands in flight: what waited hears of it, and slots and tickets go on', async ({
  world,
}) => {
  const using = await openUsing(world);
  for (let n = 1; n <= 2; n++) {
    const error = await cut(using);
    expect(error).toContain('was cut before it answered');
    const { had } = using;
    await vi.waitUntil(() => using.had >= had + 5, { timeout: 10_000 });
  }
  const settings = `${world.keys.bottleneck(TAG, 'slots')}_settings`;
  using.isOver = true;
  await using.driver.stop();
  expect(Number(await world.redis.hget(settings, 'running'))).toBeLessThanOrEqual(2);
});

it('cut off while a pod opens its limiters: it opens them anew', async ({ world }) => {
  const proxy = await swallowingProxy(world);
  proxy.swallow('2.19.5'); // only what makes a limiter says its version
  const using = await openThrough(world, proxy);
  await vi.waitUntil(() => proxy.swallowed > 0, { timeout: 10_000 });
  proxy.cut();
  await vi.waitUntil(() => using.had >= 5, { timeout: 20_000 });
});

it('without the rejection it never goes on (twin)', async ({ world }) => {
  const using = await openUsing(world, 'rejection');
  await cut(using);
  const { had } = using;
  const again = vi.waitUntil(() => using.had > had, { timeout: 3_000 });
  await expect(again).rejects.toThrow();
});
