// Limits as the judge sees them: for each log that must convict, its twin one step to the side that must not.

import { describe, expect, test } from 'vitest';
import { judge } from '../../src/simulator/judge.ts';
import { log, proofs, STEP } from './hand-made.ts';

/** A present-day instant, where doubles are coarsest. */
const T = 1_790_000_000_000;

describe('at once', () => {
  const two = { limits: [{ concurrent: 2 }] };

  test('three under way where two are allowed convict, and the proof names all three', () => {
    const verdict = judge(log({ at: 0, end: 10 }, { at: 1, end: 10 }, { at: 2, end: 3 }), two);
    expect(proofs(verdict)).toEqual([['concurrent', 1, 2, 3]]);
    expect(verdict.convictions[0]).toMatchObject({
      at: 2,
      terms: '2 at once',
      detail: '3 at once where 2 are allowed',
    });
    expect(verdict.clean).toBe(false);
    expect(verdict.summary.maxConcurrent).toBe(3);
  });

  test('two under way do not', () => {
    expect(judge(log({ at: 0, end: 10 }, { at: 1, end: 10 }), two)).toMatchObject({ clean: true, total: 0 });
  });

  test('one that ends at the instant of the next arrival is gone; one step later it is not', () => {
    const one = { limits: [{ concurrent: 1 }] };
    expect(judge(log({ at: T, end: T + 5 }, { at: T + 5, end: T + 9 }), one).clean).toBe(true);
    expect(proofs(judge(log({ at: T, end: T + 5 + STEP }, { at: T + 5, end: T + 9 }), one))).toEqual([
      ['concurrent', 1, 2],
    ]);
  });

  test('a closed connection frees its place like an answer does', () => {
    const one = { limits: [{ concurrent: 1 }] };
    const cut = { at: 0, answeredAt: null, closedAt: 4, outcome: 'aborted' as const };
    expect(judge(log(cut, { at: 4, end: 5 }), one).clean).toBe(true);
    expect(judge(log(cut, { at: 4 - STEP, end: 5 }), one).clean).toBe(false);
  });

  test('with an answer and a closing, the earlier one counts', () => {
    const one = { limits: [{ concurrent: 1 }] };
    expect(judge(log({ at: 0, answeredAt: 4, closedAt: 9 }, { at: 4 }), one).clean).toBe(true);
    expect(judge(log({ at: 0, answeredAt: 9, closedAt: 4 }, { at: 4 }), one).clean).toBe(true);
  });

  test('one that is still open is under way for ever', () => {
    const verdict = judge(log({ at: 0, end: null }, { at: 1e9, end: 1e9 }), { limits: [{ concurrent: 1 }] });
    expect(proofs(verdict)).toEqual([['concurrent', 1, 2]]);
    expect(verdict.summary.open).toBe(1);
  });

  test('one that took no time is still too many when it arrives, and never in the way of another', () => {
    const one = { limits: [{ concurrent: 1 }] };
    expect(proofs(judge(log({ at: 0, end: 10 }, { at: 5 }), one))).toEqual([['concurrent', 1, 2]]);
    expect(judge(log({ at: 5 }, { at: 5 }, { at: 5, end: 6 }), one).clean).toBe(true);
  });

  test('by agent, each has its own places and nobody has none', () => {
    const rules = { limits: [{ concurrent: 1, by: 'agent' as const }] };
    const mixed = log(
      { at: 0, end: 9, agent: 'a' },
      { at: 1, end: 9, agent: 'b' },
      { at: 2, end: 9 },
      { at: 3, end: 9 },
    );
    expect(judge(mixed, rules)).toMatchObject({ clean: true, summary: { withoutAgent: 2, agents: 2 } });
    const same = log({ at: 0, end: 9, agent: 'a' }, { at: 1, end: 9, agent: 'b' }, { at: 2, end: 9, agent: 'a' });
    const verdict = judge(same, rules);
    expect(proofs(verdict)).toEqual([['concurrent', 1, 3]]);
    expect(verdict.convictions[0]).toMatchObject({ agent: 'a', terms: '1 at once by agent' });
    expect(verdict.summary.maxConcurrentByAgent).toEqual({ agent: 'a', count: 2 });
  });

  test('a log in any order is judged in the order of arrival', () => {
    const shuffled = log({ at: 2, end: 3 }, { at: 0, end: 10 }, { at: 1, end: 10 });
    expect(proofs(judge(shuffled, two))).toEqual([['concurrent', 2, 3, 1]]);
  });
});

describe('per time', () => {
  const rules = { limits: [{ count: 2, per: '1s' }] };

  test('three within the interval convict', () => {
    const verdict = judge(log({ at: T }, { at: T + 500 }, { at: T + 1_000 - STEP }), rules);
    expect(proofs(verdict)).toEqual([['rate', 1, 2, 3]]);
    expect(verdict.convictions[0]).toMatchObject({ terms: '2 per 1s', at: T + 1_000 - STEP });
    expect(verdict.summary.intervals).toEqual([{ terms: '2 per 1s', allowed: 2, max: 3 }]);
  });

  test('the third exactly one interval after the first does not', () => {
    const verdict = judge(log({ at: T }, { at: T + 500 }, { at: T + 1_000 }), rules);
    expect(verdict).toMatchObject({ clean: true, summary: { intervals: [{ max: 2 }] } });
  });

  test('intervals slide: two at the end of one second and two at the start of the next are four', () => {
    const verdict = judge(log({ at: 900 }, { at: 950 }, { at: 1_000 }, { at: 1_050 }), rules);
    expect(proofs(verdict)).toEqual([
      ['rate', 1, 2, 3],
      ['rate', 1, 2, 3, 4],
    ]);
    expect(judge(log({ at: 0 }, { at: 50 }, { at: 1_000 }, { at: 1_050 }), rules).clean).toBe(true);
  });

  test('arrivals count, whenever the answers come', () => {
    expect(judge(log({ at: 0, end: 5_000 }, { at: 500, end: 5_000 }, { at: 1_000, end: 5_000 }), rules).clean).toBe(
      true,
    );
  });

  test('by agent, each has its own count', () => {
    const by = { limits: [{ count: 1, per: '1s', by: 'agent' as const }] };
    expect(judge(log({ at: 0, agent: 'a' }, { at: 1, agent: 'b' }, { at: 2 }, { at: 3 }), by).clean).toBe(true);
    expect(proofs(judge(log({ at: 0, agent: 'a' }, { at: 1, agent: 'b' }, { at: 2, agent: 'a' }), by))).toEqual([
      ['rate', 1, 3],
    ]);
  });

  test('every limit must allow', () => {
    const both = { limits: [{ count: 3, per: '10s' }, ...rules.limits] };
    expect(judge(log({ at: 0 }, { at: 1_000 }, { at: 2_000 }, { at: 3_000 }), both).counts).toEqual({ rate: 1 });
  });
});

describe('what counts', () => {
  const rules = { limits: [{ concurrent: 1 }, { count: 1, per: '1s' }] };
  const refused = log({ at: 0, end: 10 }, { at: 5, end: 6, status: 429, refusedBy: 'concurrent' });

  test('refused requests, unless the rules say otherwise', () => {
    expect(judge(refused, rules).counts).toEqual({ concurrent: 1, rate: 1 });
    expect(judge(refused, { ...rules, countRefused: false }).clean).toBe(true);
  });

  test('not the health endpoint', () => {
    expect(judge(log({ at: 0, end: 10 }, { at: 5, counted: false, path: '/health' }), rules)).toMatchObject({
      clean: true,
      summary: { requests: 1 },
    });
  });

  test('only arrivals within the span are judged, by everything that came before them', () => {
    const three = log({ at: 0, end: 10 }, { at: 1, end: 10 }, { at: 2, end: 10 });
    expect(proofs(judge(three, { limits: [{ concurrent: 1 }], fromAt: 2 }))).toEqual([['concurrent', 1, 2, 3]]);
    expect(proofs(judge(three, { limits: [{ concurrent: 1 }], untilAt: 2 }))).toEqual([['concurrent', 1, 2]]);
  });
});
