// Work that one does for all: one of many goes each time, the death of one costs a beat, an error is told when it begins.

import { afterEach, expect, it, vi } from 'vitest';
import { createGuardedBeat, guardOf } from '../../src/engine/guarded-beat.ts';
import type { Redis } from '../../src/store/connect.ts';
import { createEventHub } from '../../src/words/events.ts';

const EVERY_MS = 2_000;

/** A beat over a Redis that is only the guard's key, on timers that we move. */
function beating(who: string, held: Map<string, string>, work = vi.fn(async () => {})) {
  const set = async (key: string, value: string) => (held.has(key) ? null : held.set(key, value) && 'OK');
  const events = createEventHub();
  const failing = vi.fn();
  events.on('redis.failing', failing);
  const redis = { set } as unknown as Redis;
  const beat = createGuardedBeat({ what: 'look', who, redis, guard: 'g', everyMs: EVERY_MS, events, work });
  beat.start();
  return { beat, work, failing };
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

it('that fails is told once until it works again, and is tried every time', async () => {
  vi.useFakeTimers();
  const held = new Map<string, string>();
  const work = vi.fn(() => Promise.reject(new Error('OOM')) as Promise<void>);
  const { beat, failing } = beating('a', held, work);
  const next = async () => {
    held.clear();
    await vi.advanceTimersByTimeAsync(EVERY_MS);
  };
  for (let n = 0; n < 3; n++) await next();
  expect(work).toHaveBeenCalledTimes(3);
  expect(failing.mock.calls).toEqual([[{ what: 'look', reason: 'OOM' }]]);
  work.mockImplementationOnce(async () => {});
  await next();
  await next();
  expect(failing).toHaveBeenCalledTimes(2);
  await beat.stop();
  await next();
  expect(work).toHaveBeenCalledTimes(5);
});

it('is shared by those that know the same lanes, in whatever order', () => {
  const [x, y, z] = [{ name: 'x' }, { name: 'y' }, { name: 'z' }];
  expect(guardOf([x, y])).toBe(guardOf([y, x]));
  expect(guardOf([x, y])).not.toBe(guardOf([x, z]));
});
