// An upstream's answer, or whatever a handler threw, becomes one of ten classes in one place.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { classifyAnswer, classifyThrown, readRetryAfter } from '../../src/policies/classify.ts';
import { FAILURE_CLASSES, UpstreamError } from '../../src/words/failure.ts';

const NOW = Date.UTC(2030, 0, 1);
/** BullMQ keeps no later instant exactly; a job parked beyond it would never be seen again. */
const MAX_EPOCH_MS = Date.UTC(10_000, 0, 1) - 1;

describe('an answer', () => {
  it.each([
    [400, {}, null, 'schema-drift'],
    [401, {}, null, 'auth'],
    [402, {}, null, 'quota'],
    [403, {}, null, 'auth'],
    [403, { 'retry-after': '5' }, null, 'rate-limit'],
    [403, { 'x-ratelimit-remaining': '0' }, null, 'rate-limit'],
    [403, { 'x-ratelimit-remaining': '12' }, null, 'auth'],
    [403, {}, { error: { code: 'quota_exceeded' } }, 'quota'],
    [404, {}, null, 'gone'],
    [405, {}, null, 'schema-drift'],
    [406, {}, null, 'schema-drift'],
    [407, {}, null, 'auth'],
    [408, {}, null, 'timeout'],
    [409, {}, null, 'transient'],
    [410, {}, null, 'gone'],
    [415, {}, null, 'schema-drift'],
    [418, {}, null, 'fatal'],
    [418, { 'retry-after': '1' }, null, 'rate-limit'],
    [421, {}, null, 'transient'],
    [422, {}, null, 'schema-drift'],
    [423, {}, null, 'transient'],
    [425, {}, null, 'transient'],
    [429, {}, null, 'rate-limit'],
    [429, {}, 'quota', 'rate-limit'],
    [429, {}, { error: 'insufficient_quota' }, 'quota'],
    [429, {}, { code: 'QuotaExceeded' }, 'quota'],
    [429, {}, { type: 'insufficient_quota' }, 'quota'],
    [429, {}, { error: { type: 'insufficient_quota' } }, 'quota'],
    [429, {}, { message: 'your quota is used up' }, 'rate-limit'],
    [451, {}, null, 'fatal'],
    [500, {}, null, 'transient'],
    [500, {}, { error: 'quota' }, 'transient'],
    [503, { 'retry-after': '5' }, null, 'transient'],
    [504, {}, null, 'transient'],
    [529, {}, null, 'transient'],
  ] as const)('%d with %j and the body %j is %s', (status, headers, body, expected) => {
    expect(classifyAnswer({ status, headers: new Headers(headers), body })).toBe(expected);
  });

  it('of any status from 400 to 599 has one of the known classes, whatever its headers and body', () => {
    const names = fc.constantFrom('retry-after', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'content-type', 'x-odd');
    const headers = fc.dictionary(names, fc.stringMatching(/^[ -~]{0,20}$/));
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 599 }), headers, fc.anything(), (status, given, body) => {
        expect(FAILURE_CLASSES).toContain(classifyAnswer({ status, headers: new Headers(given), body }));
      }),
    );
  });
});

describe('what a handler threw', () => {
  const named = (name: string, more: object = {}) => Object.assign(new Error('x'), { name, ...more });
  it.each([
    ['an unknown error', new Error('x'), 'transient'],
    ['an UpstreamError', new UpstreamError('x', { class: 'gone', status: 404 }), 'gone'],
    ['an UpstreamError of another copy', named('UpstreamError', { class: 'auth' }), 'auth'],
    ['a timeout', new DOMException('x', 'TimeoutError'), 'timeout'],
    ['late headers', named('Error', { code: 'UND_ERR_HEADERS_TIMEOUT' }), 'timeout'],
    ['a late body', named('Error', { code: 'UND_ERR_BODY_TIMEOUT' }), 'timeout'],
    ['a refused connection', named('Error', { code: 'ECONNREFUSED' }), 'transient'],
    ['JSON that is none', named('SyntaxError'), 'schema-drift'],
    ['zod', z.string().safeParse(5).error, 'schema-drift'],
    ['valibot', named('ValiError'), 'schema-drift'],
    ['arktype', named('TraversalError'), 'schema-drift'],
    ['a code that every object has', named('LanekeeperError', { code: 'toString' }), 'transient'],
    ['our full lane', named('LanekeeperError', { code: 'LK_BACKLOG_FULL' }), 'rate-limit'],
    ['a text', 'no', 'transient'],
    ['nothing', undefined, 'transient'],
    ['null', null, 'transient'],
  ])('%s is classified', (_, thrown, expected) => {
    expect(classifyThrown(thrown)).toBe(expected);
  });

  it('is of one of the known classes, whatever it is and says of itself', () => {
    const liar = fc.record({ name: fc.constant('UpstreamError'), class: fc.anything() }, { requiredKeys: ['name'] });
    fc.assert(
      fc.property(fc.oneof(fc.anything(), liar), (thrown) => {
        expect(FAILURE_CLASSES).toContain(classifyThrown(thrown));
      }),
    );
  });

  it('does not throw again when it is looked at', () => {
    const booby = {
      get name() {
        throw new Error('looked at');
      },
    };
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(classifyThrown(booby)).toBe('transient');
    expect(classifyThrown(proxy)).toBe('transient');
  });
});

describe('when to come back', () => {
  const inSeconds = (seconds: number) => NOW + seconds * 1_000;
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
