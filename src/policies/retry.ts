// What becomes of a failure: again later, wait without using an attempt, or stop. Numbers only; no Redis, no clock.

import type { FailureClass } from '../words/failure.ts';

export interface RetryPolicy {
  readonly attempts: number;
  /** Waits after the 1st, 2nd, … failed attempt; the last one serves for all that follow. */
  readonly backoffMs: readonly number[];
  /** 0.2 = up to 20 % later. Never sooner: a backoff is a promise to the upstream. */
  readonly jitter: number;
}

/** A 429 or quota sends a job back without an attempt; this often, then it is dead as `rate-limit`. */
export const MAX_PARKS = 50;

const AFTER_FAILURE: Record<FailureClass, 'retry' | 'park' | 'dead'> = {
  transient: 'retry',
  timeout: 'retry',
  // A gradual rollout answers from two versions: the next attempt may meet the one we know.
  'schema-drift': 'retry',
  'rate-limit': 'park',
  quota: 'park',
  gone: 'dead',
  auth: 'dead',
  fatal: 'dead',
  stalled: 'dead',
  refused: 'dead',
};

export type Decision =
  | { kind: 'retry'; afterMs: number }
  | { kind: 'park'; afterMs: number }
  | { kind: 'dead'; class: FailureClass };

export interface FailureFacts {
  class: FailureClass;
  /** This attempt's number, from 1. */
  attempt: number;
  /** Parks without an attempt so far. */
  parks: number;
  /** What the upstream asked for, ms from now; null when it did not say. */
  askedMs: number | null;
  random: number;
}

export function decide(policy: RetryPolicy, facts: FailureFacts): Decision {
  const after = AFTER_FAILURE[facts.class];
  if (after === 'park') {
    if (facts.parks >= MAX_PARKS) return { kind: 'dead', class: 'rate-limit' };
    return {
      kind: 'park',
      afterMs: facts.askedMs && facts.askedMs > 0 ? facts.askedMs : unaskedParkMs(facts.parks, facts.random),
    };
  }
  if (after === 'dead' || facts.attempt >= policy.attempts) return { kind: 'dead', class: facts.class };
  return { kind: 'retry', afterMs: Math.max(backoffMs(policy, facts.attempt, facts.random), facts.askedMs ?? 0) };
}

export function backoffMs(policy: RetryPolicy, attempt: number, random: number): number {
  const steps = policy.backoffMs;
  const step = steps[Math.min(attempt, steps.length) - 1] ?? 0;
  return Math.round(step * (1 + policy.jitter * random));
}

/** A limit that names no time, or one that has passed by our clock (else fifty parks are gone within a second): 1 s, doubling to 60 s, up to half later so that a herd spreads. */
function unaskedParkMs(parks: number, random: number): number {
  return Math.round(Math.min(60_000, 1_000 * 2 ** Math.min(parks, 6)) * (1 + random / 2));
}
