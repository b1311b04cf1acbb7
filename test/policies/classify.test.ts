// An upstream's answer, or whatever a handler threw, becomes one of ten classes in one place.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { classifyAnswer, classifyThrown, isBan } from '../../src/policies/classify.ts';
import { FAILURE_CLASSES, UpstreamError } from '../../src/words/failure.ts';

it.each([
  [{ error: { code: 'banned' } }, true],
  [{ code: 'account_suspended' }, true],
  [{ error: 'Banned for a day' }, true],
  [{ error: { code: 'cooldown', message: 'or you are banned' } }, false],
  [{ code: 'urbane' }, false],
  ['banned', false],
  [null, false],
])('an answer with the body %j is a ban: %s', (body, expected) => {
  expect(isBan(body)).toBe(expected);
});

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
