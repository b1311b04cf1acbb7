// How a verdict reads, and that one about a great many offences stays a page.

import { describe, expect, test } from 'vitest';
import { describeVerdict, judge } from '../../src/simulator/index.ts';
import { log } from './hand-made.ts';

describe('a verdict', () => {
  test('that is clean says so, and what it looked at', () => {
    const posts = { method: 'POST', status: 201, effect: true, agent: 'a' };
    const records = log({ at: 0, end: 10, ...posts }, { at: 7_200_010, end: 7_200_020, ...posts }, { at: 5, end: 7 });
    const rules = { limits: [{ concurrent: 2 }, { count: 60, per: '1m' }], cooldown: '2h' };
    expect(describeVerdict(judge(records, rules)).split('\n')).toEqual([
      'CLEAN: no rule was broken',
      'requests 3; effects 2, replayed 0',
      'agents 1; requests without an agent 1',
      'most at once 2, most of one agent 1 (a)',
      'most arrivals against 60 per 1m: 2',
      'smallest gap 2h (a, #1 #2)',
      'by status 200: 1, 201: 2; by end answered: 3; refused none',
    ]);
  });

  test('that is not says when, who, what and by which requests', () => {
    const agent = 'a01';
    const records = log({ at: 1e12, agent }, { at: 1e12 + 999.5, agent, status: 429, refusedBy: 'cooldown' });
    const lines = describeVerdict(judge(records, { cooldown: '1s' })).split('\n');
    expect(lines.slice(0, 2)).toEqual([
      'CONVICTED: 1 (cooldown 1)',
      '  2001-09-09T01:46:40.999Z cooldown [cooldown 1s] a01 came 999.5ms after its last answer, 0.5ms too early (#1 #2)',
    ]);
    expect(lines.at(-1)).toBe('by status 200: 1, 429: 1; by end answered: 2; refused cooldown: 1');
  });

  test('about a thousand offences counts them all and describes the first hundred', () => {
    const records = log(...Array.from({ length: 1_001 }, (_, at) => ({ at, end: 5_000, agent: 'a' })));
    const verdict = judge(records, { limits: [{ concurrent: 1 }] });
    expect([verdict.total, verdict.convictions.length]).toEqual([1_000, 100]);
    expect(verdict.convictions.map((one) => one.at)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(describeVerdict(verdict)).toContain('(#1 #2 #3 … #100 #101)\n  and 900 more\n');
    expect(verdict.summary.smallestGap).toEqual({ agent: 'a', gapMs: -4_999, records: [1, 2] });
  });

  test('is plain JSON: what was never answered is null, not infinite', () => {
    const verdict = judge(log({ at: 0, end: null, agent: 'a' }, { at: 1, end: null, agent: 'a' }), { cooldown: '1s' });
    expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
  });
});
