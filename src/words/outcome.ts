// How an attempt can end, as values. A handler returns its result or one of `retry`, `park`, `dead`; what it throws becomes
// one of them in one place (path/runner). Branded by Symbol.for, so another copy of the package makes the same values.

import type { Duration } from './duration.ts';
import type { FailureClass } from './failure.ts';

/** What a parked job waits for. */
export const GATES = ['owner', 'cooldown', 'limit', 'breaker', 'pause', 'schedule'] as const;
export type Gate = (typeof GATES)[number];

export type Outcome =
  | { kind: 'done'; result: unknown }
  | { kind: 'retry'; afterMs: number; class: FailureClass; error: Error }
  | Park
  | { kind: 'dead'; class: FailureClass; error: Error }
  /** By somebody's order: the job is removed, and no attempt follows. */
  | { kind: 'cancel' }
  /** Back to its place in the line, as if it had not been fetched. */
  | { kind: 'return'; why: string }
  /** Another pod may have it by now: nothing may be settled. */
  | { kind: 'lost'; reason: string };

export interface Park {
  kind: 'park';
  gate: Gate;
  /** Null: for its owner, who was displaced. */
  untilAt: number | null;
  reason: string;
  class: FailureClass | null;
  /** Counts those for a 429 or quota; absent for any other gate. */
  parks?: number;
  /** The upstream said that the agent is banned. */
  isBan?: boolean;
}

const ANSWER = Symbol.for('lanekeeper.answer');

export interface RetryAnswer {
  [ANSWER]: 'retry';
  after?: Duration;
  reason?: string;
}
export interface ParkAnswer {
  [ANSWER]: 'park';
  until: Date | number | string;
  reason: string;
}
export interface DeadAnswer {
  [ANSWER]: 'dead';
  reason: string;
}
export type Answer = RetryAnswer | ParkAnswer | DeadAnswer;

/** Try again later; uses an attempt. Without `after` the lane's backoff decides. */
export function retry(options: { after?: Duration; reason?: string } = {}): RetryAnswer {
  return { [ANSWER]: 'retry', ...options };
}

/** Wait until an instant; uses no attempt. */
export function park(options: { until: Date | number | string; reason: string }): ParkAnswer {
  return { [ANSWER]: 'park', ...options };
}

/** Stop trying: bury it with this reason. */
export function dead(reason: string): DeadAnswer {
  return { [ANSWER]: 'dead', reason };
}

export function answerKind(value: unknown): 'retry' | 'park' | 'dead' | undefined {
  return typeof value === 'object' && value !== null ? (value as Partial<Answer>)[ANSWER] : undefined;
}
