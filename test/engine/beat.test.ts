// Work that comes round: never twice at once, stopped when stop says so, and a failure is told when it begins.

import { afterEach, expect, it, vi } from 'vitest';
import { createBeat } from '../../src/engine/beat.ts';
import { createEventHub } from '../../src/words/events.ts';
import { gate } from '../path/looking.ts';

const EVERY_MS = 2_000;

function beating(work: () => Promise<void>) {
  vi.useFakeTimers();
  const events = createEventHub();
  const failing = vi.fn();
  events.on('redis.failing', failing);
  const beat = createBeat({ what: 'look', everyMs: EVERY_MS, events, work });
  beat.start();
  const next = () => vi.advanceTimersByTimeAsync(EVERY_MS);
  return { beat, failing, next };
}

afterEach(() => void vi.useRealTimers());

it('is not begun while the last one is under way, and joins it when it is asked for', async () => {
  const held = gate();
  const work = vi.fn(() => held.opened);
  const { beat, next } = beating(work);
  for (let n = 0; n < 3; n++) await next();
  expect(beat.once()).toBe(beat.once());
  expect(work).toHaveBeenCalledTimes(1);
  held.open();
  await beat.once();
  for (let n = 0; n < 3; n++) await next();
  expect(work).toHaveBeenCalledTimes(4);
  await beat.stop();
});

it('is stopped once what is under way has ended, and comes round no more', async () => {
  const held = gate();
  const work = vi.fn(() => held.opened);
  const { beat, next } = beating(work);
  await next();
  let isStopped = false;
  const stopping = beat.stop().then(() => {
    isStopped = true;
  });
  await next();
  expect(isStopped).toBe(false);
  held.open();
  await stopping;
  await next();
  expect(work).toHaveBeenCalledTimes(1);
});

it('that fails is told once until it works again, and is tried every time', async () => {
  const work = vi.fn(() => Promise.reject(new Error('OOM')) as Promise<void>);
  const { beat, failing, next } = beating(work);
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
