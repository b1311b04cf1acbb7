// What a handler may answer besides a result, and the error an upstream's answer becomes.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FAILURE_CLASSES, UpstreamError } from '../../src/words/failure.ts';
import { answerKind, dead, park, retry } from '../../src/words/outcome.ts';

describe('an answer', () => {
  it('is known by its kind and carries what it was given', () => {
    expect(answerKind(retry())).toBe('retry');
    expect(retry({ after: '5s', reason: 'r' })).toMatchObject({ after: '5s', reason: 'r' });
    expect(answerKind(park({ until: 5, reason: 'r' }))).toBe('park');
    expect(park({ until: 5, reason: 'r' })).toMatchObject({ until: 5, reason: 'r' });
    expect(answerKind(dead('no'))).toBe('dead');
    expect(dead('no')).toMatchObject({ reason: 'no' });
  });

  it('made by another copy of the package is known too', () => {
    expect(answerKind({ [Symbol.for('lanekeeper.answer')]: 'dead', reason: 'x' })).toBe('dead');
  });

  it('is never seen in a plain result, however it looks', () => {
    fc.assert(
      fc.property(fc.anything(), (result) => {
        expect(answerKind(result)).toBeUndefined();
      }),
    );
    expect(answerKind({ kind: 'dead', reason: 'x' })).toBeUndefined();
    expect(answerKind(JSON.parse(JSON.stringify(dead('x'))))).toBeUndefined();
  });
});

describe('an UpstreamError', () => {
  it('says class, status, when to come back and the body; null for what is not known', () => {
    const error = new UpstreamError('m', { class: 'rate-limit', status: 429, retryAfterAt: 5, body: { a: 1 } });
    expect(error).toMatchObject({
      code: 'LK_UPSTREAM',
      name: 'UpstreamError',
      class: 'rate-limit',
      status: 429,
      retryAfterAt: 5,
      body: { a: 1 },
    });
    expect(error).toBeInstanceOf(Error);
    expect(new UpstreamError('m', { class: 'transient', status: null })).toMatchObject({
      status: null,
      retryAfterAt: null,
      body: null,
    });
  });

  it('keeps what caused it', () => {
    const cause = new Error('reset');
    expect(new UpstreamError('m', { class: 'transient', status: null, cause }).cause).toBe(cause);
  });

  it('has one of ten classes', () => {
    expect(FAILURE_CLASSES).toEqual([
      'transient',
      'timeout',
      'rate-limit',
      'quota',
      'gone',
      'schema-drift',
      'auth',
      'fatal',
      'stalled',
      'refused',
    ]);
  });
});
