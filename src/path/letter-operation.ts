// Replays or drops many dead letters, by class or all: oldest first, at a chosen rate, told as it goes, to be stopped after the
// letters in hand. It keeps no state: what is done has left the failed set, so beginning again goes on where it ended, and a
// process that dies between two letters loses and doubles nothing. Only letters that were dead when it began: one that dies
// again at once is not replayed twice.

import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import type { FailureClass } from '../words/failure.ts';
import { removeLetter, replayLetter } from './dead-letters.ts';
import { countLetters, type Letter, ofClass, walkLetters } from './letters.ts';
import { newOperationId, type Operation, openOperation } from './operation.ts';

/** A replay costs Redis 35 us: 500 a second are 2 % of it. What the upstream stands is for the lane's own limits to say. */
export const DEFAULT_RATE = 500;
/** Letters in hand at once, at the most: beyond, Redis is no faster. */
const MAX_IN_HAND = 50;

export interface OperationOptions {
  /** Only letters whose last failure was of this class. */
  class?: FailureClass;
  /** By whom and why, for the journal. */
  who: string;
  reason: string | null;
  /** Letters a second; 0 for as fast as Redis answers. */
  rate: number;
  signal?: AbortSignal;
  onProgress?: (state: OperationState) => void;
  clock: Clock;
}

export interface OperationState {
  operation: string;
  /** Letters that were dead when it began, of all classes. */
  total: number;
  /** Looked at so far. */
  seen: number;
  done: number;
  /** Somebody else replayed or dropped them meanwhile. */
  skipped: number;
  isStopped: boolean;
}

export function replayLetters(laneQueue: LaneQueue, options: OperationOptions): Promise<OperationState> {
  const order = { order: 'replay', what: 'dead.replayed' } as const;
  return run(laneQueue, options, order, (letter, begunAt) => replayLetter(laneQueue, letter, begunAt));
}

export function dropLetters(laneQueue: LaneQueue, options: OperationOptions): Promise<OperationState> {
  const order = { order: 'drop', what: 'dead.dropped' } as const;
  return run(laneQueue, options, order, (letter) => removeLetter(laneQueue, letter));
}

interface OperationOrder {
  order: 'replay' | 'drop';
  /** The entry that tells how it ended. */
  what: 'dead.replayed' | 'dead.dropped';
}

async function run(
  laneQueue: LaneQueue,
  options: OperationOptions,
  order: OperationOrder,
  act: (letter: Letter, begunAt: number) => Promise<boolean>,
): Promise<OperationState> {
  const { onProgress, signal } = options;
  const begunAt = await redisNow(laneQueue.redis);
  const operation = newOperationId(begunAt);
  const total = await countLetters(laneQueue, begunAt);
  const state: OperationState = { operation, total, seen: 0, done: 0, skipped: 0, isStopped: false };
  const record = await openRecord(laneQueue, options, order, state);
  try {
    const pace = createPace(options);
    for await (const letters of walkLetters(laneQueue, begunAt)) {
      const wanted = options.class ? await ofClass(laneQueue, letters, options.class) : letters;
      state.seen += letters.length - wanted.length;
      for (let start = 0; start < wanted.length; start += pace.inHand) {
        const inHand = wanted.slice(start, start + pace.inHand);
        await pace.turn(inHand.length);
        if (signal?.aborted) break;
        await take(inHand, state, (letter) => act(letter, begunAt));
        await record.isAlive();
        onProgress?.({ ...state });
      }
      await record.isAlive();
      onProgress?.({ ...state });
      if (signal?.aborted) break;
    }
    state.isStopped = signal?.aborted === true && state.seen < total;
  } catch (error) {
    // What was done is told, if Redis still listens; what failed is what the caller must hear.
    state.isStopped = true;
    await record.end().catch(() => {});
    throw new LanekeeperError(
      'LK_REDIS_DOWN',
      `the ${order.order} broke off after ${state.done} dead letters of ${quote(laneQueue.lane.name)}: ${toError(error).message}; the same order again goes on`,
      { cause: error },
    );
  }
  await record.end();
  return state;
}

/** What the journal says of it. */
function openRecord(
  laneQueue: LaneQueue,
  options: OperationOptions,
  { order, what }: OperationOrder,
  state: OperationState,
): Promise<Operation> {
  const { who, reason } = options;
  const facts = { lane: laneQueue.lane.name, operation: state.operation, class: options.class ?? null, reason };
  const toEntry = () => ({ ...facts, count: state.done, skipped: state.skipped, isStopped: state.isStopped });
  const begun = { what: 'operation.begun', entry: { ...facts, order, total: state.total } } as const;
  return openOperation(laneQueue, { what, who, toEntry }, begun);
}

/** All of them are counted, even when one fails: the others were done. */
async function take(letters: Letter[], state: OperationState, act: (letter: Letter) => Promise<boolean>) {
  const results = await Promise.allSettled(letters.map(act));
  for (const result of results) {
    if (result.status === 'rejected') continue;
    state.seen++;
    if (result.value) state.done++;
    else state.skipped++;
  }
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Never more than `rate` letters a second, twenty steps a second; time spent on looking makes up for nothing. A stop ends the wait. */
function createPace({ rate, clock, signal }: OperationOptions) {
  let freeAt = Number.NEGATIVE_INFINITY;
  return {
    inHand: rate === 0 ? MAX_IN_HAND : Math.min(MAX_IN_HAND, Math.max(1, Math.floor(rate / 20))),
    async turn(count: number): Promise<void> {
      if (rate === 0) return;
      const earlyMs = freeAt - clock.mono();
      if (earlyMs > 0 && !signal?.aborted) await waitFor(earlyMs, signal);
      freeAt = Math.max(freeAt, clock.mono()) + (count * 1_000) / rate;
    },
  };
}

function waitFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
