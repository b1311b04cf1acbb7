// What an attempt costs its agent: by the lane's terms, by how it ended, and by what the upstream said.

import { describe, expect, it } from 'vitest';
import { type ActTerms, chargeFor } from '../../src/policies/charge.ts';
import type { Outcome, Park } from '../../src/words/outcome.ts';

const BY_ATTEMPT: ActTerms = { cooldownMs: 7_200_000, charge: 'attempt' };
const BY_SUCCESS: ActTerms = { cooldownMs: 7_200_000, charge: 'success' };
const error = new Error('e');

const done: Outcome = { kind: 'done', result: 1 };
const retry: Outcome = { kind: 'retry', afterMs: 5, class: 'transient', error };
const dead: Outcome = { kind: 'dead', class: 'auth', error };
const asked: Outcome = { kind: 'park', gate: 'schedule', untilAt: 5, reason: 'not yet', class: null };
const limited = (more: Partial<Park> = {}): Outcome => ({
  kind: 'park',
  gate: 'limit',
  untilAt: 5,
  reason: '429',
  class: 'rate-limit',
  ...more,
});

describe('an attempt', () => {
  // What it ends with, whether it sent anything, and what it costs by attempt and by success.
  it.each<[string, Outcome, boolean, number | null, number | null]>([
    ['that is done', done, true, 7_200_000, 7_200_000],
    ['that is done without a request we saw', done, false, 7_200_000, 7_200_000],
    ['that failed and comes again', retry, true, 7_200_000, null],
    ['that failed before it sent anything', retry, false, null, null],
    ['that is dead', dead, true, 7_200_000, null],
    ['that was dead before it sent anything', dead, false, null, null],
    ['that met a limit', limited(), true, 7_200_000, null],
    ['that parks itself before it sent anything', asked, false, null, null],
    ['whose pod leaves in mid-request', { kind: 'return', why: '' }, true, 7_200_000, null],
    ['whose pod leaves before', { kind: 'return', why: '' }, false, null, null],
    ['that was cancelled in mid-request', { kind: 'cancel' }, true, 7_200_000, null],
  ])('%s', (_, outcome, wasSent, byAttempt, bySuccess) => {
    expect(chargeFor(BY_ATTEMPT, outcome, wasSent).costMs).toBe(byAttempt);
    expect(chargeFor(BY_SUCCESS, outcome, wasSent).costMs).toBe(bySuccess);
  });
});

describe('an agent', () => {
  it.each<[string, Outcome, object]>([
    ['told to wait', limited(), { untilAt: 5, source: 'retry-after', reason: '429' }],
    ['whose quota is used up', limited({ class: 'quota' }), { untilAt: 5, source: 'quota' }],
    ['that is banned', limited({ isBan: true }), { untilAt: 5, source: 'ban' }],
    ['banned by what looks like a quota', limited({ class: 'quota', isBan: true }), { untilAt: 5, source: 'ban' }],
    ['whose job waits for something else', asked, { untilAt: null, source: 'policy' }],
    ['that acted', done, { untilAt: null, source: 'policy' }],
  ])('%s', (_, outcome, charged) => {
    expect(chargeFor(BY_ATTEMPT, outcome, true)).toMatchObject(charged);
  });

  it.each<[string, Outcome, 0 | 1 | null]>([
    ['done', done, 1],
    ['failed', retry, 0],
    ['met a limit', limited(), 0],
    ['died', dead, 0],
    ['was refused before its handler', { kind: 'dead', class: 'refused', error }, null],
    ['asked to wait', asked, null],
    ['was given back', { kind: 'return', why: '' }, null],
  ])('is thought of by its acts: an attempt that %s', (_, outcome, ok) => {
    expect(chargeFor(BY_ATTEMPT, outcome, true).ok).toBe(ok);
  });
});
