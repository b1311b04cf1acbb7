// Work that one does for all: one of many goes each time, and the death of one costs a beat.

import { afterEach, expect, it, vi } from 'vitest';
import { createGuardedBeat, guardOf } from '../../src/engine/guarded-beat.ts';
import type { Redis } from '../../src/store/connect.ts';
import { createEventHub } from '../../src/words/events.ts';

const EVERY_MS = 2_000;

/** A beat over a Redis that is only the guard's key, on timers that we move. */
function beating(who: string, held: Map<string, string>, work = vi.fn(async () => {})) {
  const set = async (key: string, value: string) => (held.has(key) ? null : held.set(key, value) && 'OK');
  const events = createEventHub();
  const redis = { set } as unknown as Redis;
  const beat = createGuardedBeat({ what: 'look', who, redis, guard: 'g', everyMs: EVERY_MS, events, work });
  beat.start();
  return { beat, work };
}

afterEach(() => void vi.useRealTimers());

it('is done by one of many, and by another when that one is gone', async () => {
  vi.useFakeTimers();
  const held = new Map<string, string>();
  const all = ['a', 'b', 'c'].map((who) => beating(who, held));
  await vi.advanceTimersByTimeAsync(EVERY_MS);
  expect(all.map(({ work }) => work.mock.calls.length)).toEqual([1, 0, 0]);
  await all[0]?.beat.stop();
  held.clear(); // it ran out
  await vi.advanceTimersByTimeAsync(EVERY_MS);
  expect(all.map(({ work }) => work.mock.calls.length)).toEqual([1, 1, 0]);
  for (const { beat } of all) await beat.stop();
});

it('is shared by those that know the same lanes, in whatever order', () => {
  const [x, y, z] = [{ name: 'x' }, { name: 'y' }, { name: 'z' }];
  expect(guardOf([x, y])).toBe(guardOf([y, x]));
  expect(guardOf([x, y])).not.toBe(guardOf([x, z]));
});
