// What an upstream's headers say about when to come back, and when that holds everybody.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readHold, readRetryAfter } from '../../src/policies/rate-headers.ts';
import type { FailureClass } from '../../src/words/failure.ts';

const NOW = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;
/** BullMQ keeps no later instant exactly; a job parked beyond it would never be seen again. */
const MAX_EPOCH_MS = Date.UTC(10_000, 0, 1) - 1;
const inSeconds = (seconds: number) => NOW + seconds * 1_000;

describe('when to come back', () => {
  it.each([
    ['seconds', { 'retry-after': '120' }, inSeconds(120)],
    ['a fraction of a second', { 'retry-after': '0.25' }, NOW + 250],
    ['now', { 'retry-after': '0' }, NOW],
    ['with blanks around', { 'retry-after': '  5  ' }, inSeconds(5)],
    ['an HTTP date', { 'retry-after': new Date(inSeconds(90)).toUTCString() }, inSeconds(90)],
    ['a date that has passed', { 'retry-after': new Date(NOW - 1_000).toUTCString() }, NOW - 1_000],
    ['milliseconds', { 'retry-after-ms': '250' }, NOW + 250],
    ['milliseconds before seconds', { 'retry-after-ms': '250', 'retry-after': '9' }, NOW + 250],
    [
      'reset in epoch seconds',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(inSeconds(60) / 1_000) },
      inSeconds(60),
    ],
    [
      'reset in epoch milliseconds',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(inSeconds(60)) },
      inSeconds(60),
    ],
    ['reset in seconds from now', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' }, inSeconds(60)],
    [
      'retry-after before reset',
      { 'retry-after': '5', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' },
      inSeconds(5),
    ],
    ['a duration', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' }, inSeconds(360)],
  ])('is read from %s', (_, headers, at) => {
    expect(readRetryAfter(new Headers(headers as Record<string, string>), NOW)).toBe(at);
  });

  it.each([
    ['no header', {}],
    ['nonsense', { 'retry-after': 'soon' }],
    ['an empty text', { 'retry-after': '' }],
    ['a negative number', { 'retry-after': '-5' }],
    ['words behind a number', { 'retry-after': '5 minutes' }],
    ['an exponent', { 'retry-after': '1e3' }],
    ['a reset while something remains', { 'x-ratelimit-remaining': '3', 'x-ratelimit-reset': '60' }],
    ['a reset without what remains', { 'x-ratelimit-reset': '60' }],
    ['nonsense in milliseconds', { 'retry-after-ms': 'soon' }],
    ['more digits than a number has', { 'retry-after': '9'.repeat(400) }],
    ['a million years', { 'retry-after': '31536000000000' }],
    ['a date a million years off', { 'retry-after': 'Fri, 01 Jan 99999 00:00:00 GMT' }],
    ['a reset a million years off', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9'.repeat(20) }],
  ])('is null for %s', (_, headers) => {
    expect(readRetryAfter(new Headers(headers as Record<string, string>), NOW)).toBeNull();
  });

  it('is null or an instant at which a job can be woken, for any headers', () => {
    const text = fc.oneof(fc.stringMatching(/^\d{1,400}(\.\d{1,9})?$/), fc.stringMatching(/^[ -~]{0,30}$/));
    const names = fc.constantFrom('retry-after', 'retry-after-ms', 'x-ratelimit-reset');
    fc.assert(
      fc.property(fc.dictionary(names, text), (given) => {
        const at = readRetryAfter(new Headers({ ...given, 'x-ratelimit-remaining': '0' }), NOW);
        if (at === null) return;
        expect(Number.isFinite(at)).toBe(true);
        expect(at).toBeLessThanOrEqual(MAX_EPOCH_MS);
      }),
    );
  });
});

describe('nothing left of a limit that we keep ourselves', () => {
  const kept = [{ size: 20, perMs: 1_000 }];
  const headers = (limit: string, reset: string) =>
    new Headers({ 'x-ratelimit-limit': limit, 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset });
  const held = (given: Headers, failure: FailureClass | null = null) =>
    readHold({ class: failure, headers: given, nowAt: NOW, kept })?.forMs;

  it('holds nobody after a success', () => {
    expect(held(headers('20', '1'))).toBeUndefined();
    expect(held(new Headers({ ratelimit: 'limit=20, remaining=0, reset=1' }))).toBeUndefined();
  });

  it('holds everybody when it is another limit, asks for more than its length, or refused', () => {
    expect(held(headers('60', '1'))).toBe(1_000);
    expect(held(headers('20', '2'))).toBe(2_000);
    expect(held(headers('20', '1'), 'rate-limit')).toBe(1_000);
    expect(held(new Headers({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' }))).toBe(1_000);
  });
});

describe('what holds everybody', () => {
  const spent = (reset: string) => ({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset });
  const http = (seconds: number) => new Date(inSeconds(seconds)).toUTCString();

  it.each([
    ['seconds on a 429', 'rate-limit', { 'retry-after': '120' }, 120],
    ['a date on a 429', 'rate-limit', { 'retry-after': http(90) }, 90],
    ['milliseconds on a 429', 'rate-limit', { 'retry-after-ms': '250' }, 0.25],
    ['Retry-After before what is spent', 'rate-limit', { 'retry-after': '5', ...spent('60') }, 5],
    ['a quota that says when', 'quota', { 'retry-after': '3600' }, 3600],
    ['a quota with a reset of its own', 'quota', { 'x-quota-reset': '3600' }, 3600],
    ['nothing left, on a success', null, spent('60'), 60],
    ['nothing left, on a failure of another kind', 'transient', spent('60'), 60],
    ['less than nothing left', null, { ...spent('60'), 'x-ratelimit-remaining': '-3' }, 60],
    ['epoch seconds', null, spent(String(inSeconds(30) / 1_000)), 30],
    ['epoch milliseconds', null, spent(String(inSeconds(30))), 30],
    ['a duration', null, spent('6m0s'), 360],
    ['a short duration', null, spent('120ms'), 0.12],
    ['an instant', null, spent('2030-01-01T00:00:45Z'), 45],
    ['the names without x', null, { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' }, 30],
    ['the names with one dash more', null, { 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': '30' }, 30],
    ['requests', null, { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1s' }, 1],
    ['tokens', null, { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1m26.4s' }, 86.4],
    [
      'the names the other way round',
      null,
      { 'anthropic-ratelimit-requests-remaining': '0', 'anthropic-ratelimit-requests-reset': '2030-01-01T00:01:00Z' },
      60,
    ],
    [
      'the longest of two that are spent, and nothing of one that is not',
      null,
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '9s',
        'x-ratelimit-remaining-day': '5',
        'x-ratelimit-reset-day': '24h',
      },
      9,
    ],
    ['the RateLimit field', null, { ratelimit: '"default";r=0;t=30' }, 30],
    ['one of several policies', null, { ratelimit: '"a;r=0;t=9,";r=5;t=99, "day" ; r=0 ; t=40' }, 40],
    ['the RateLimit field of the seventh draft', null, { ratelimit: 'limit=10, remaining=0, reset=30' }, 30],
    ['more than a month, as a month', 'quota', { 'retry-after': '99999999' }, 31 * 86_400],
  ] as const)('is read from %s', (_, failure, headers, seconds) => {
    const held = readHold({ class: failure, headers: new Headers(headers as Record<string, string>), nowAt: NOW });
    expect(held).toMatchObject({ forMs: seconds * 1_000, reason: expect.stringMatching(/^[a-z-]+: \S/) });
  });

  it.each([
    ['a 429 without any hint', 'rate-limit', {}],
    ['nonsense', 'rate-limit', { 'retry-after': 'soon' }],
    ['now', 'rate-limit', { 'retry-after': '0' }],
    ['a date that has passed', 'rate-limit', { 'retry-after': http(-1) }],
    ['a million years', 'rate-limit', { 'retry-after': '31536000000000' }],
    ['Retry-After of a success: it speaks of the job', null, { 'retry-after': '120' }],
    ['Retry-After of a 503: it speaks of its health', 'transient', { 'retry-after': '120' }],
    ['something left', null, { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '60' }],
    ['nothing left without a reset', null, { 'x-ratelimit-remaining': '0' }],
    ['a reset that has passed', null, spent(String(inSeconds(-1)))],
    ['a RateLimit field with something left', null, { ratelimit: '"default";r=3;t=30' }],
    ['a RateLimit field without a time', null, { ratelimit: '"default";r=0' }],
    [
      'a quota whose only reset is of what is left',
      'quota',
      { 'x-ratelimit-remaining': '9', 'x-ratelimit-reset': '60' },
    ],
  ] as const)('is not %s', (_, failure, headers) => {
    const given = new Headers(headers as Record<string, string>);
    expect(readHold({ class: failure, headers: given, nowAt: NOW })).toBeUndefined();
  });

  it.each([-3_600_000, 3_600_000])('is as long for a pod whose clock is %d ms off', (offMs) => {
    const date = http(0);
    for (const given of [{ 'retry-after': http(90) }, spent(String(inSeconds(90) / 1_000)), { 'retry-after': '90' }]) {
      const headers = new Headers({ ...given, date });
      expect(readHold({ class: 'rate-limit', headers, nowAt: NOW + offMs })?.forMs).toBe(90_000);
    }
  });

  it('is never negative, never longer than a month and never an exception, for any headers', () => {
    const number = fc.stringMatching(/^-?\d{1,400}(\.\d{1,9})?(ms|s|m|h|d)?$/);
    const field = fc.tuple(number, number).map(([r, t]) => `"x";r=${r};t=${t}`);
    const text = fc.oneof(fc.constant('0'), number, field, fc.stringMatching(/^[ -~]{0,40}$/));
    const names = ['retry-after', 'retry-after-ms', 'ratelimit', 'date', 'x-quota-reset'];
    for (const prefix of ['x-ratelimit-', 'ratelimit-', 'x-rate-limit-']) {
      for (const suffix of ['', '-requests']) names.push(`${prefix}remaining${suffix}`, `${prefix}reset${suffix}`);
    }
    let held = 0;
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...names), text),
        fc.constantFrom(null, 'rate-limit', 'quota', 'transient'),
        (given, failure) => {
          const hold = readHold({ class: failure, headers: new Headers(given), nowAt: NOW });
          if (!hold) return;
          held++;
          expect(Number.isInteger(hold.forMs)).toBe(true);
          expect(hold.forMs).toBeGreaterThan(0);
          expect(hold.forMs).toBeLessThanOrEqual(31 * DAY_MS);
          expect(hold.reason.length).toBeLessThan(300);
        },
      ),
      { numRuns: 2_000 },
    );
    expect(held, 'or nothing was tried').toBeGreaterThan(50);
  });
});
