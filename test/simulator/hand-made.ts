// Hand-made records of requests for the judge: what a test does not say is an ordinary answered GET by nobody.

import type { RequestRecord } from '../../src/simulator/record.ts';

export interface Made extends Partial<RequestRecord> {
  at: number;
  /** When its last byte was sent; null while it is under way. Default: at once. */
  end?: number | null;
}

/** Numbered from 1 in the order given. */
export function log(...made: Made[]): RequestRecord[] {
  return made.map(({ at, end = at, ...rest }, index) => ({
    n: index + 1,
    agent: null,
    method: 'GET',
    path: '/x',
    query: '',
    arrivedAt: at,
    answeredAt: end,
    closedAt: null,
    status: end === null ? null : 200,
    outcome: end === null ? 'open' : 'answered',
    fence: null,
    fenceScope: null,
    idempotencyKey: null,
    jobId: null,
    counted: true,
    effect: false,
    replayed: false,
    refusedBy: null,
    version: null,
    tokensUsed: 0,
    ...rest,
  }));
}

/** Which requests broke which rule, the offender last: what most tests compare. */
export function proofs(verdict: { convictions: readonly { rule: string; records: readonly number[] }[] }): unknown[] {
  return verdict.convictions.map(({ rule, records }) => [rule, ...records]);
}

/** The smallest step between two instants of a live log. */
export const STEP = 1 / 4096;
