// Why nothing is granted for a while: a first start and another driver are told calmly, a loss as one; each by one pod alone.

import { describe, expect, vi } from 'vitest';
import type { LimitsShut } from '../../src/store/limit-driver.ts';
import { openScriptDriver } from '../../src/store/limit-scripts.ts';
import type { Notices } from '../../src/store/notices.ts';
import { registerLimits } from '../../src/store/scripts/register-limits.ts';
import { it, type World } from '../support/world.ts';
import { asks } from './asks.ts';
import { openHeard, slotsOf, TAG } from './bottleneck-driver.ts';
import { concurrent } from './limit-users.ts';

const deaf: Notices = { on() {}, stop() {} };
const BEGUN = { isLost: false, forMs: 3_000, reason: 'nobody is known to have used its limits before' };
const LOST = { isLost: true, forMs: 3_000, reason: 'Redis lost what counts towards its limits' };

describe('our scripts', () => {
  function openPod({ redis, keys, defer }: World, pod: string) {
    const shut: LimitsShut[] = [];
    const plan = { driver: 'scripts', limits: [concurrent(2)], travelMs: 10 } as const;
    const onShut = (one: LimitsShut) => void shut.push(one);
    const driver = openScriptDriver({ redis, notices: deaf, keys, tag: TAG, pod, plan, onShut });
    defer(() => driver.stop());
    return { shut, ...driver };
  }

  const loseAll = async ({ redis, prefix }: World) => void (await redis.unlink(...(await redis.keys(`${prefix}:*`))));

  it('begin to count calmly for the first pod that ever came, and tell no other', async ({ world }) => {
    const [first, second] = [openPod(world, 'p0'), openPod(world, 'p1')];
    for (const pod of [first, second, first]) await pod.register();
    expect([first.shut, second.shut]).toEqual([[BEGUN], []]);
    // Nor does it begin again when all have left.
    await first.stop();
    await second.stop();
    const third = openPod(world, 'p2');
    await third.register();
    expect(third.shut).toEqual([]);
  });

  it('are lost to a pod that had used them (twin)', async ({ world }) => {
    const pod = openPod(world, 'p0');
    await pod.register();
    await loseAll(world);
    await pod.register();
    expect(pod.shut).toEqual([BEGUN, LOST]);
  });

  it('are lost also where a new pod took it for a beginning first, and that is told once', async ({ world }) => {
    const [first, second] = [openPod(world, 'p0'), openPod(world, 'p1')];
    for (const pod of [first, second]) await pod.register();
    await loseAll(world);
    const naive = openPod(world, 'p2');
    for (const pod of [naive, second, first, second]) await pod.register();
    expect([first.shut, naive.shut]).toEqual([[BEGUN], [BEGUN]]);
    const { forMs = 0, ...lost } = second.shut[0] ?? {};
    expect(second.shut).toHaveLength(1);
    expect(lost).toEqual({ isLost: true, reason: LOST.reason });
    expect(forMs, 'what is left of it').toBeLessThanOrEqual(3_000);
  });

  it('are lost to a new pod where pods before it left word', async ({ world }) => {
    await openPod(world, 'p0').register();
    await world.redis.del(world.keys.limits(TAG));
    const pod = openPod(world, 'p1');
    await pod.register();
    expect(pod.shut).toEqual([LOST]);
  });

  it('may be lost when another run of Redis brought them back', async ({ world }) => {
    await openPod(world, 'p0').register();
    await world.redis.hset(world.keys.limits(TAG), 'run', 'before');
    const pod = openPod(world, 'p1');
    await pod.register();
    expect(pod.shut).toMatchObject([{ isLost: true, reason: expect.stringContaining('restarted') }]);
  });

  it('count anew, and calmly, where Bottleneck granted before', async ({ world }) => {
    const { redis, keys } = world;
    const at = { limits: keys.limits(TAG), definitions: keys.limitDefinitions(TAG) };
    const say = (limits: object[]) => {
      const definition = { pod: 'b0', driver: 'bottleneck', limits: JSON.stringify(limits) };
      return registerLimits.run(redis, at, { ...definition, closedMs: '', channel: keys.limitNotice(TAG), known: '' });
    };
    await say([concurrent(2)]);
    const pod = openPod(world, 'p0');
    await pod.register();
    expect(pod.shut).toEqual([]);
    await say([]);
    await pod.register();
    expect(pod.shut).toMatchObject([{ isLost: false, reason: expect.stringContaining('Bottleneck') }]);
  });
});

it('Bottleneck: a first start is nothing to tell, a loss is told by one pod', async ({ world }) => {
  const [first, second] = [openHeard(world, 'p0', [concurrent(2)]), openHeard(world, 'p1', [concurrent(2)])];
  await slotsOf(first, 1);
  await slotsOf(second, 1);
  expect([...first.shut, ...second.shut]).toEqual([]);
  await world.redis.unlink(...(await world.redis.keys(`${world.prefix}:u:*`)));
  const isHeld = (driver: typeof first) => driver.notices.some(({ kind }) => kind === 'held');
  await vi.waitUntil(() => isHeld(first) && isHeld(second), { timeout: 10_000 });
  // A limiter that is there anew is no second loss.
  await world.redis.hset(`${world.keys.bottleneck(TAG, 'slots')}_settings`, 'lk:born', 'anew');
  for (const driver of [first, second, first, second]) await driver.ask(asks({ kept: ['none'] }));
  expect([...first.shut, ...second.shut]).toMatchObject([{ isLost: true, reason: LOST.reason }]);
});
