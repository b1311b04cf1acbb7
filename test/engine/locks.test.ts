// Locks: renewed while a job runs, and an attempt that cannot be sure of its lock ends before another pod may have its job.

import { afterEach, describe, expect, vi } from 'vitest';
import { createLockKeeper } from '../../src/engine/locks.ts';
import { defineLane, handle } from '../../src/index.ts';
import { Attempt } from '../../src/path/attempt.ts';
import { type FetchedJob, type LaneQueue, LOCK_MS } from '../../src/store/lane-queue.ts';
import { createEventHub } from '../../src/words/events.ts';
import { gate, untilState } from '../path/looking.ts';
import { it } from '../support/world.ts';

const lane = defineLane({ name: 'long' });

describe('a long job', () => {
  it('keeps its lock: its time to live rises again while it runs', async ({ world }) => {
    const held = gate();
    await world.pod([handle(lane, { run: () => held.opened })]);
    const { id } = await (await world.producer()).add(lane, null);
    const queue = world.queue(lane);
    await untilState(queue, id, 'active');
    let least = Number.POSITIVE_INFINITY;
    await vi.waitFor(
      async () => {
        const ttl = await world.redis.pttl(`${queue.jobKey(id)}:lock`);
        expect(ttl).toBeGreaterThan(0);
        least = Math.min(least, ttl);
        expect(ttl, 'it was renewed').toBeGreaterThan(least + 2_000);
      },
      { timeout: 15_000, interval: 20 },
    );
    held.open();
    await untilState(queue, id, 'done');
  });
});

/** The keeper alone, over a queue that answers as it is told, on a clock that we move. */
function keeping(extendLocks: (ids: string[], tokens: string[]) => Promise<string[]>) {
  vi.useFakeTimers();
  const clock = { now: () => Date.now(), mono: () => performance.now() };
  const events = createEventHub();
  const failing = vi.fn();
  events.on('redis.failing', failing);
  const extended = vi.fn(extendLocks);
  const attempts = new Set<Attempt>();
  const queueOf = () => ({ backend: { extendLocks: extended } }) as unknown as LaneQueue;
  const keeper = createLockKeeper({ attempts, queueOf, clock, events });
  const begin = (id: string) => {
    const raw = {
      id,
      data: '{}',
      attemptsMade: 0,
      attemptsStarted: 1,
      timestamp: 0,
      opts: {},
    } as unknown as FetchedJob;
    const attempt = new Attempt(lane, raw, `token-of-${id}`, clock.mono(), clock);
    attempts.add(attempt);
    return attempt;
  };
  keeper.start();
  return { keeper, begin, extended, failing, attempts };
}

describe('the keeper', () => {
  afterEach(() => void vi.useRealTimers());

  it('renews every lock of a lane in one call, with its own token, long before it runs out', async () => {
    const { keeper, begin, extended } = keeping(async () => []);
    const [a, b] = [begin('a'), begin('b')];
    await vi.advanceTimersByTimeAsync(LOCK_MS / 2);
    expect(extended.mock.calls[0]).toEqual([['a', 'b'], ['token-of-a', 'token-of-b'], LOCK_MS]);
    await vi.advanceTimersByTimeAsync(10 * LOCK_MS);
    for (const attempt of [a, b]) expect(attempt.ended).toBeUndefined();
    keeper.stop();
  });

  it('ends an attempt whose lock is another’s by now, tells its handler why, and leaves the others alone', async () => {
    const { keeper, begin } = keeping(async () => ['a']);
    const [a, b] = [begin('a'), begin('b')];
    await vi.advanceTimersByTimeAsync(LOCK_MS / 2);
    expect(a.ended).toBe('lost');
    expect(a.signal.reason).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(b.ended).toBeUndefined();
    keeper.stop();
  });

  it.for([
    ['refuses', () => Promise.reject(new Error('OOM'))],
    ['does not answer', () => new Promise<string[]>(() => {})],
  ] as const)('ends every attempt before its lock runs out when Redis %s', async ([, extend]) => {
    const { keeper, begin } = keeping(extend);
    const attempt = begin('a');
    await vi.advanceTimersByTimeAsync(LOCK_MS - 2_000);
    expect(attempt.ended, 'not while it is surely ours').toBeUndefined();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(attempt.ended).toBe('lost');
    expect(attempt.signal.aborted).toBe(true);
    keeper.stop();
  });

  it('leaves an attempt that is being settled alone: its lock goes with the settle', async () => {
    const { keeper, begin } = keeping(async () => ['a']);
    const attempt = begin('a');
    attempt.end('settled');
    attempt.isSettling = true;
    await vi.advanceTimersByTimeAsync(LOCK_MS / 2);
    expect(attempt.ended).toBe('settled');
    expect(attempt.signal.aborted).toBe(false);
    keeper.stop();
  });

  it('asks for nothing when nothing runs, and nothing more when it was stopped', async () => {
    const { keeper, begin, extended, attempts } = keeping(async () => []);
    await vi.advanceTimersByTimeAsync(LOCK_MS);
    expect(extended).not.toHaveBeenCalled();
    begin('a');
    keeper.stop();
    await vi.advanceTimersByTimeAsync(LOCK_MS);
    expect(extended).not.toHaveBeenCalled();
    attempts.clear();
  });
});

describe('an attempt', () => {
  it('is sure of its lock for less than Redis keeps it, counted from before it was asked for', () => {
    let mono = 1_000;
    const clock = { now: () => 0, mono: () => mono };
    const raw = {
      id: 'a',
      data: '{}',
      attemptsMade: 0,
      attemptsStarted: 1,
      timestamp: 0,
      opts: {},
    } as unknown as FetchedJob;
    const attempt = new Attempt(lane, raw, 't', 1_000, clock);
    mono = 1_000 + LOCK_MS - 1_001;
    expect(attempt.isLocked()).toBe(true);
    mono = 1_000 + LOCK_MS - 1_000;
    expect(attempt.isLocked()).toBe(false);
  });
});
