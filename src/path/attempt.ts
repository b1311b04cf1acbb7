// One run of a handler: its facts, its end. An attempt is over when it is settled, timed out, lost its lock or its pod
// leaves; from then on its context refuses to send. The lock's deadline is kept on the monotonic clock, counted from before
// the lock was asked for, so that a pod that slept through it knows before it asks anybody.

import type { FetchedJob } from '../store/lane-queue.ts';
import { LOCK_MS } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { openEnvelope } from './envelope.ts';
import type { Job } from './handler.ts';
import type { Lane } from './lane.ts';

/** Between "our clock says the lock is over" and "Redis gives the job to another": room for clocks that tick unevenly. */
const LOCK_MARGIN_MS = 1_000;

export type EndReason = 'settled' | 'timeout' | 'lost' | 'leaving';

export interface Attempt {
  readonly lane: Lane;
  readonly raw: FetchedJob;
  readonly token: string;
  readonly id: string;
  /** 1 for the first; waiting does not raise it. */
  readonly number: number;
  /** How often the job was started, whatever came of it. Never falls: the fence of an open lane. */
  readonly start: number;
  readonly agent: string | null;
  readonly key: string | null;
  /** As sent; the schema has not seen it yet. */
  readonly input: unknown;
  /** What is wrong with the stored data itself. */
  readonly malformed: string | undefined;
  readonly startedMonoAt: number;
  readonly signal: AbortSignal;
  /** Why it is over; undefined while it runs. */
  readonly ended: EndReason | undefined;
  /** True from the moment its settle is sent: a renewal that fails then means nothing. */
  isSettling: boolean;
  /** The last instant (monotonic) at which its lock is surely ours. */
  lockedUntilMono: number;
  isLocked(): boolean;
  end(reason: EndReason, error?: Error): void;
  /** Calls back when it is cut off; the last one asked is called. */
  onCutOff(then: () => void): void;
}

export function beginAttempt(lane: Lane, raw: FetchedJob, token: string, askedMonoAt: number, clock: Clock): Attempt {
  const { payload, agent, key, malformed } = openEnvelope(raw.data);
  let ended: EndReason | undefined;
  let controller: AbortController | undefined;
  let cause: Error | undefined;
  let listener: (() => void) | undefined;
  return {
    lane,
    raw,
    token,
    id: raw.id,
    number: raw.attemptsMade + 1,
    start: raw.attemptsStarted,
    agent,
    key,
    input: payload,
    malformed,
    startedMonoAt: clock.mono(),
    // Made on first use: it costs 2 us, and a lane that runs 15,000 jobs a second mostly waits for nothing.
    get signal() {
      if (!controller) {
        controller = new AbortController();
        if (ended && ended !== 'settled') controller.abort(cause);
      }
      return controller.signal;
    },
    onCutOff(then) {
      listener = then;
    },
    isSettling: false,
    lockedUntilMono: lockDeadline(askedMonoAt),
    get ended() {
      return ended;
    },
    isLocked() {
      return clock.mono() < this.lockedUntilMono;
    },
    end(reason, error) {
      if (ended) return;
      ended = reason;
      cause = error;
      // Only a cut-off handler is told; aborting after a normal end would reject requests nobody waits for.
      if (reason === 'settled') return;
      controller?.abort(error);
      listener?.();
    },
  };
}

export function lockDeadline(askedMonoAt: number): number {
  return askedMonoAt + LOCK_MS - LOCK_MARGIN_MS;
}

export function toJob(attempt: Attempt, payload: unknown): Job {
  return Object.freeze({
    id: attempt.id,
    lane: attempt.lane.name,
    payload,
    agent: attempt.agent,
    attempt: attempt.number,
    key: attempt.key,
    enqueuedAt: attempt.raw.timestamp,
  });
}
