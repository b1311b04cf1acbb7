// What becomes of a failure: never sooner than the backoff says, never more than the jitter later, and an end to everything.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, decide, type FailureFacts, MAX_PARKS, type RetryPolicy } from '../../src/policies/retry.ts';
import { FAILURE_CLASSES, type FailureClass } from '../../src/words/failure.ts';

const RETRIED: FailureClass[] = ['transient', 'timeout', 'schema-drift'];
const PARKED: FailureClass[] = ['rate-limit', 'quota'];
const BURIED: FailureClass[] = ['gone', 'auth', 'fatal', 'stalled', 'refused'];

const policies: fc.Arbitrary<RetryPolicy> = fc.record({
  attempts: fc.integer({ min: 1, max: 100 }),
  backoffMs: fc.array(fc.integer({ min: 0, max: 86_400_000 }), { minLength: 1, maxLength: 10 }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const askedMs = fc.option(fc.integer({ min: -60_000, max: 86_400_000 }));
const POLICY: RetryPolicy = { attempts: 4, backoffMs: [2_000, 4_000, 8_000], jitter: 0.2 };
const facts = (more: Partial<FailureFacts>): FailureFacts => ({
  class: 'transient',
  attempt: 1,
  parks: 0,
  askedMs: null,
  random: 0,
  ...more,
});

it('every class is retried, parked or buried: none is forgotten', () => {
  expect([...RETRIED, ...PARKED, ...BURIED].sort()).toEqual([...FAILURE_CLASSES].sort());
});

describe('a retry', () => {
  it('waits 2, 4, 8 s after the first, second and third attempt, and the last step serves for all that follow', () => {
    expect([1, 2, 3, 4, 9].map((attempt) => backoffMs(POLICY, attempt, 0))).toEqual([
      2_000, 4_000, 8_000, 8_000, 8_000,
    ]);
  });

  it('comes never sooner than the step, and never more than the jitter later', () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 100 }), random, (policy, attempt, dice) => {
        const step = policy.backoffMs[Math.min(attempt, policy.backoffMs.length) - 1] as number;
        const waited = backoffMs(policy, attempt, dice);
        expect(waited).toBeGreaterThanOrEqual(step);
        expect(waited).toBeLessThanOrEqual(Math.ceil(step * (1 + policy.jitter)));
        expect(Number.isInteger(waited)).toBe(true);
      }),
    );
  });

  it('waits as long as the upstream asked when that is longer, and its own step when it is shorter', () => {
    expect(decide(POLICY, facts({ askedMs: 60_000 }))).toEqual({ kind: 'retry', afterMs: 60_000 });
    expect(decide(POLICY, facts({ askedMs: 1 }))).toEqual({ kind: 'retry', afterMs: 2_000 });
    expect(decide(POLICY, facts({ askedMs: -5 }))).toEqual({ kind: 'retry', afterMs: 2_000 });
  });

  it('ends with the attempts: exactly as many as allowed, then dead with its own class', () => {
    fc.assert(
      fc.property(policies, fc.constantFrom(...RETRIED), random, askedMs, (policy, ofClass, dice, asked) => {
        for (let attempt = 1; attempt < policy.attempts; attempt++) {
          expect(decide(policy, facts({ class: ofClass, attempt, random: dice, askedMs: asked })).kind).toBe('retry');
        }
        const last = facts({ class: ofClass, attempt: policy.attempts, random: dice, askedMs: asked });
        expect(decide(policy, last)).toEqual({ kind: 'dead', class: ofClass });
      }),
    );
  });
});

describe('a limit or a quota', () => {
  it('parks without looking at the attempts, and for as long as the upstream asked', () => {
    for (const ofClass of PARKED) {
      expect(decide({ ...POLICY, attempts: 1 }, facts({ class: ofClass, attempt: 1, askedMs: 7 }))).toEqual({
        kind: 'park',
        afterMs: 7,
      });
    }
  });

  it('parks 50 times, then it is dead as rate-limit', () => {
    for (const ofClass of PARKED) {
      for (let parks = 0; parks < MAX_PARKS; parks++) {
        expect(decide(POLICY, facts({ class: ofClass, parks })).kind).toBe('park');
      }
      expect(decide(POLICY, facts({ class: ofClass, parks: MAX_PARKS }))).toEqual({
        kind: 'dead',
        class: 'rate-limit',
      });
    }
    expect(MAX_PARKS).toBe(50);
  });

  it('that asks for no wait, or for an instant that has passed here, waits as if it had named none', () => {
    // An upstream whose clock is behind ours, or `Retry-After: 0`: else 50 parks are gone within a second, and the job with them.
    for (const asked of [0, -7, -60_000]) {
      expect(decide(POLICY, facts({ class: 'rate-limit', parks: 2, askedMs: asked }))).toEqual({
        kind: 'park',
        afterMs: 4_000,
      });
    }
  });

  it('that names no time waits 1 s, doubling to 60 s, up to half as long again', () => {
    const waits = (dice: number) =>
      [0, 1, 2, 5, 6, 49].map((parks) => {
        const decision = decide(POLICY, facts({ class: 'rate-limit', parks, random: dice }));
        return decision.kind === 'park' ? decision.afterMs : undefined;
      });
    expect(waits(0)).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
    expect(waits(0.9999)).toEqual([1_500, 3_000, 6_000, 47_998, 89_997, 89_997]);
  });
});

it('what cannot be helped by another attempt is dead at once, with its own class', () => {
  for (const ofClass of BURIED)
    expect(decide(POLICY, facts({ class: ofClass }))).toEqual({ kind: 'dead', class: ofClass });
});

it('no decision waits a time that is negative, endless or no number', () => {
  const anyFacts = fc.record({
    class: fc.constantFrom(...FAILURE_CLASSES),
    attempt: fc.integer({ min: 1, max: 200 }),
    parks: fc.integer({ min: 0, max: 100 }),
    askedMs,
    random,
  });
  fc.assert(
    fc.property(policies, anyFacts, (policy, given) => {
      const decision = decide(policy, given);
      if (decision.kind === 'dead') return;
      expect(Number.isFinite(decision.afterMs)).toBe(true);
      expect(decision.afterMs).toBeGreaterThanOrEqual(0);
    }),
  );
});
