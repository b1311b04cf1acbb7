// The driver of limits on Bottleneck in the test's own process, what it told, and asks in short.

import { vi } from 'vitest';
import type { Patch } from '../../src/store/bottleneck-connection.ts';
import { openBottleneckDriver } from '../../src/store/limit-bottleneck.ts';
import type { Ask, LimitDriver, LimitNotice, LimitsShut } from '../../src/store/limit-driver.ts';
import { systemClock } from '../../src/words/clock.ts';
import type { Limit } from '../../src/words/limit.ts';
import type { World } from '../support/world.ts';
import { asks } from './asks.ts';

export const TAG = 'forum';

export interface HeardDriver extends LimitDriver {
  readonly notices: LimitNotice[];
  readonly shut: LimitsShut[];
}

/** Stops with the test. */
export function openHeard(
  world: World,
  pod: string,
  limits: Limit[],
  { redisUrl = world.redisUrl, without }: { redisUrl?: string; without?: Patch } = {},
): HeardDriver {
  const shut: LimitsShut[] = [];
  const driver = openBottleneckDriver({
    onShut: (one) => void shut.push(one),
    redisUrl,
    keys: world.keys,
    tag: TAG,
    pod,
    plan: { driver: 'bottleneck', limits, travelMs: 10 },
    clock: systemClock,
    without,
  });
  const notices: LimitNotice[] = [];
  driver.onNotice((notice) => void notices.push(notice));
  world.defer(() => driver.stop());
  return Object.assign(driver, { notices, shut });
}

/** Asks until it has so many slots. */
export async function slotsOf(driver: LimitDriver, count: number, ask: Partial<Ask> = {}): Promise<string[]> {
  const slots: string[] = [];
  await vi.waitUntil(
    async () => {
      const granted = await driver.ask(asks({ ...ask, slots: count - slots.length }));
      slots.push(...granted.slots);
      return slots.length >= count;
    },
    { timeout: 20_000, interval: 10 },
  );
  return slots;
}
