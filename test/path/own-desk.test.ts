// What a pod relies on of its agents' slots is never longer than what Redis was told.

import { expect, it } from 'vitest';
import { type Lease, OwnDesk } from '../../src/path/own-desk.ts';
import type { Change, OwnLimits } from '../../src/store/own-limit-scripts.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub } from '../../src/words/events.ts';
import { limit } from './limited-upstream.ts';

const SLOT = { limit: limit('concurrent', 1, 0, true), agent: 'a01', id: 'act|1|pod|0', amount: 1, forMs: 15_000 };
const LONG_MS = 100_000;

/** A desk with one lease that was extended for a long request, 3 s ago, whose next word to Redis is never answered. */
function open(isOnWire: boolean) {
  const told: Change[] = [];
  const own: OwnLimits = {
    upstream: 'u',
    travelMs: 50,
    limitsOf: () => [],
    take: async () => ({ kind: 'taken' }),
    settle(changes) {
      told.push(...changes);
      return new Promise(() => {});
    },
  };
  let laterMs = 0;
  const clock = { ...systemClock, mono: () => systemClock.mono() + laterMs };
  const desk = new OwnDesk({ pod: 'p', own, shut() {}, clock, events: createEventHub() });
  const lease: Lease = { use: SLOT, untilMono: 0, namedMono: 0, isOnWire, lose() {} };
  desk.lease(lease, clock.mono());
  lease.untilMono = clock.mono() + LONG_MS;
  laterMs = 3_000;
  return { told, lease, leftMs: () => lease.untilMono - clock.mono(), stop: () => desk.stop() };
}

it('a lease that is named with nothing on the wire is relied on no longer than that says, from when it is said', async () => {
  const { told, leftMs, stop } = open(false);
  await expect.poll(() => told).toMatchObject([{ what: 'keep', forMs: 15_000, isWired: false }]);
  expect(leftMs()).toBeLessThanOrEqual(15_000);
  await stop();
});

it('one with a request on the wire lasts as long as that may', async () => {
  const { told, leftMs, stop } = open(true);
  await expect.poll(() => told).toMatchObject([{ what: 'keep', isWired: true }]);
  expect(leftMs()).toBeGreaterThan(15_000);
  await stop();
});
