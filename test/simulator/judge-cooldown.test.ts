// Cooldowns as the judge sees them: from an agent's last answer to its next arrival.

import { describe, expect, test } from 'vitest';
import { judge } from '../../src/simulator/judge.ts';
import { log, proofs, STEP } from './hand-made.ts';

const T = 1_790_000_000_000;
const HOURS_2 = 2 * 3_600_000;
const rules = { cooldown: '2h' };

describe('cooldown', () => {
  test('one step too early convicts, exactly on time does not', () => {
    const early = log({ at: T, end: T + 250.5, agent: 'a' }, { at: T + 250.5 + HOURS_2 - STEP, agent: 'a' });
    const verdict = judge(early, rules);
    expect(proofs(verdict)).toEqual([['cooldown', 1, 2]]);
    expect(verdict.convictions[0]).toMatchObject({ agent: 'a', terms: 'cooldown 2h' });
    expect(verdict.convictions[0]?.detail).toBe(
      `a came ${HOURS_2 - STEP}ms after its last answer, ${STEP}ms too early`,
    );
    const onTime = log({ at: T, end: T + 250.5, agent: 'a' }, { at: T + 250.5 + HOURS_2, agent: 'a' });
    expect(judge(onTime, rules).clean).toBe(true);
    expect(judge(onTime, rules).summary.smallestGap).toEqual({ agent: 'a', gapMs: HOURS_2, records: [1, 2] });
  });

  test('it runs from the answer, not from the arrival before', () => {
    expect(judge(log({ at: 0, end: 1_000, agent: 'a' }, { at: HOURS_2 + 500, agent: 'a' }), rules).clean).toBe(false);
  });

  test('coming while the answer is still out convicts, even without any cooldown to speak of', () => {
    const overlap = log({ at: 0, end: 10, agent: 'a' }, { at: 5, end: 6, agent: 'a' });
    expect(proofs(judge(overlap, { cooldown: 0 }))).toEqual([['cooldown', 1, 2]]);
    expect(judge(overlap, { cooldown: 0 }).convictions[0]?.detail).toBe('a came while its request #1 was unanswered');
    expect(judge(log({ at: 0, end: 5, agent: 'a' }, { at: 5, end: 6, agent: 'a' }), { cooldown: 0 }).clean).toBe(true);
  });

  test('so does coming while the first was never answered at all', () => {
    const verdict = judge(log({ at: 0, end: null, agent: 'a' }, { at: 1e9, end: 1e9, agent: 'a' }), rules);
    expect(proofs(verdict)).toEqual([['cooldown', 1, 2]]);
    expect(verdict.summary.smallestGap).toEqual({ agent: 'a', gapMs: null, records: [1, 2] });
  });

  test('the last answer may be that of an older request', () => {
    const cooldown = { cooldown: 10 };
    const late = log({ at: 0, end: 100, agent: 'a' }, { at: 50, end: 60, agent: 'a' }, { at: 105, agent: 'a' });
    expect(proofs(judge(late, cooldown))).toEqual([
      ['cooldown', 1, 2],
      ['cooldown', 1, 3],
    ]);
  });

  test('a broken connection starts it too', () => {
    const cut = { at: 0, answeredAt: null, closedAt: 40, outcome: 'reset' as const, agent: 'a' };
    expect(judge(log(cut, { at: 49, agent: 'a' }), { cooldown: 10 }).clean).toBe(false);
    expect(judge(log(cut, { at: 50, agent: 'a' }), { cooldown: 10 }).clean).toBe(true);
  });

  test('agents do not share one, and nobody has none', () => {
    const several = log({ at: 0, agent: 'a' }, { at: 1, agent: 'b' }, { at: 2 }, { at: 3 });
    expect(judge(several, rules)).toMatchObject({ clean: true, summary: { smallestGap: null, withoutAgent: 2 } });
  });

  test("on 'writes', reads are no acts", () => {
    const reads = log(
      { at: 0, agent: 'a', method: 'POST' },
      { at: 1, agent: 'a' },
      { at: 20, agent: 'a', method: 'PUT' },
    );
    expect(judge(reads, { cooldown: 20, cooldownOn: 'writes' }).clean).toBe(true);
    expect(judge(reads, { cooldown: 20 }).counts).toEqual({ cooldown: 2 });
    expect(judge(reads, { cooldown: 21, cooldownOn: 'writes' }).counts).toEqual({ cooldown: 1 });
  });

  test('a refused request restarts it by default; with countRefused false it is convicted but restarts nothing', () => {
    const knock = log(
      { at: 0, agent: 'a' },
      { at: 60, agent: 'a', status: 429, refusedBy: 'cooldown' },
      { at: 100, agent: 'a' },
    );
    expect(proofs(judge(knock, { cooldown: 100 }))).toEqual([
      ['cooldown', 1, 2],
      ['cooldown', 2, 3],
    ]);
    expect(proofs(judge(knock, { cooldown: 100, countRefused: false }))).toEqual([['cooldown', 1, 2]]);
  });
});
