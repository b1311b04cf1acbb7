// What a second owner does, as the judge sees it: tokens that go down, effects that happen twice. And records that are missing.

import { describe, expect, test } from 'vitest';
import { judge } from '../../src/simulator/judge.ts';
import { log, proofs } from './hand-made.ts';

describe('fence', () => {
  const fenced = (...tokens: string[]) => log(...tokens.map((fence, at) => ({ at, fence, fenceScope: 'key k' })));

  test('a token that goes down convicts, against the highest before it', () => {
    const verdict = judge(fenced('1', '3', '2', '3', '1'));
    expect(proofs(verdict)).toEqual([
      ['fence', 2, 3],
      ['fence', 2, 5],
    ]);
    expect(verdict.convictions[0]?.detail).toBe('token 2 in key k after 3');
  });

  test('tokens that stay or grow do not', () => {
    expect(judge(fenced('1', '1', '2', '2', '10')).clean).toBe(true);
  });

  test('tokens beyond 2^53 are told apart', () => {
    expect(judge(fenced('9007199254740993', '9007199254740992')).counts).toEqual({ fence: 1 });
    expect(judge(fenced('9007199254740992', '9007199254740993')).clean).toBe(true);
  });

  test('they are numbers, not text', () => {
    expect(judge(fenced('9', '10')).clean).toBe(true);
    expect(judge(fenced('10', '9')).counts).toEqual({ fence: 1 });
    expect(judge(fenced('10', '010')).clean).toBe(true);
  });

  test('scopes are apart', () => {
    const scoped = (b: string) => log({ at: 0, fence: '2', fenceScope: 'key a' }, { at: 1, fence: '1', fenceScope: b });
    expect(judge(scoped('key b')).clean).toBe(true);
    expect(judge(scoped('key a')).clean).toBe(false);
  });

  test('what is no whole number cannot be in order', () => {
    for (const fence of ['abc', '-1', '1.5', '1e3', '']) expect(judge(fenced(fence)).counts).toEqual({ fence: 1 });
  });

  test('a token that was refused convicts by default; with countRefused false only one that got through', () => {
    const stale = { at: 1, fence: '1', fenceScope: 'key a' };
    const refused = log({ at: 0, fence: '2', fenceScope: 'key a' }, { ...stale, status: 412, refusedBy: 'fence' });
    expect(judge(refused).clean).toBe(false);
    expect(judge(refused, { countRefused: false }).clean).toBe(true);
    const through = log({ at: 0, fence: '2', fenceScope: 'key a' }, stale);
    expect(judge(through, { countRefused: false }).clean).toBe(false);
  });

  test('is judged unless the rules say otherwise', () => {
    expect(judge(fenced('2', '1'), { fence: false }).clean).toBe(true);
  });
});

describe('effects', () => {
  const post = { method: 'POST', path: '/posts', effect: true };

  test('two with one key convict, by that key', () => {
    const verdict = judge(log({ at: 0, ...post, idempotencyKey: 'k' }, { at: 1, ...post, idempotencyKey: 'k' }));
    expect(proofs(verdict)).toEqual([['effect', 1, 2]]);
    expect(verdict.convictions[0]?.detail).toBe('POST /posts took effect again for idempotency key k');
    expect(verdict.summary.effects).toBe(2);
  });

  test('two for one job convict, whatever their keys', () => {
    const twice = log(
      { at: 0, ...post, jobId: 'j', idempotencyKey: '1' },
      { at: 1, ...post, jobId: 'j', idempotencyKey: '2' },
    );
    expect(judge(twice).convictions[0]?.detail).toBe('POST /posts took effect again for job j');
    expect(judge(twice, { effects: ['idempotencyKey'] }).clean).toBe(true);
  });

  test('with one key and one job it is one offence', () => {
    const both = { ...post, idempotencyKey: 'k', jobId: 'j' };
    expect(judge(log({ at: 0, ...both }, { at: 1, ...both }, { at: 2, ...both })).total).toBe(2);
  });

  test.each([
    ['another key', { ...post, idempotencyKey: 'other' }],
    ['another path', { ...post, idempotencyKey: 'k', path: '/other' }],
    ['another method', { ...post, idempotencyKey: 'k', method: 'PUT' }],
    ['no effect', { ...post, idempotencyKey: 'k', effect: false, replayed: true }],
    ['no mark', { ...post }],
  ])('%s does not', (_, second) => {
    expect(judge(log({ at: 0, ...post, idempotencyKey: 'k' }, { at: 1, ...second })).clean).toBe(true);
  });
});

describe('the record itself', () => {
  test('a log that lost its oldest requests is never clean', () => {
    const verdict = judge(log({ at: 0 }), {}, 3);
    expect(verdict).toMatchObject({ clean: false, counts: { record: 1 } });
    expect(verdict.convictions[0]?.detail).toContain('the 3 oldest requests');
  });

  test('an empty log is clean and says that it is empty', () => {
    expect(judge([])).toMatchObject({ clean: true, summary: { requests: 0, firstAt: null, maxConcurrent: 0 } });
  });
});
