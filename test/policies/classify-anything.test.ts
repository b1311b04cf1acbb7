// The classifier is total: whatever an upstream answers and whatever a handler throws has one class, the same one each time, and
// looking at it never throws. The statuses have their table in src/policies/classify.ts, told again here by range.

import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyAnswer, classifyThrown } from '../../src/policies/classify.ts';
import { FAILURE_CLASSES, type FailureClass } from '../../src/words/failure.ts';

const refuse = () => {
  throw new Error('looked at');
};
const PARTS = ['name', 'code', 'class', 'error', 'type', 'message', 'retryAfterAt'];

/** In a function: fast-check itself looks at what it makes, and some of these throw when they are looked at. */
type Made = () => unknown;

const foreign = fc
  .constantFrom(
    'new Error("x")',
    'new SyntaxError("x")',
    'Object.freeze({ name: "UpstreamError", class: "auth" })',
    '({})',
  )
  .map(
    (code): Made =>
      () =>
        runInNewContext(code) as unknown,
  );
const trapped = fc.subarray(['get', 'has', 'getPrototypeOf', 'ownKeys', 'getOwnPropertyDescriptor'] as const).map(
  (traps): Made =>
    () =>
      new Proxy({}, Object.fromEntries(traps.map((trap) => [trap, refuse]))),
);
const revoked: Made = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const booby = fc.constantFrom(...PARTS).map(
  (name): Made =>
    () =>
      Object.defineProperty(new Error('x'), name, { get: refuse }),
);
const known = fc.record(
  {
    name: fc.oneof(fc.constantFrom('UpstreamError', 'LanekeeperError', 'TimeoutError', 'ZodError'), fc.anything()),
    code: fc.oneof(
      fc.constantFrom('LK_STEPS', 'LK_INPUT', 'UND_ERR_BODY_TIMEOUT', '__proto__', 'toString'),
      fc.anything(),
    ),
    class: fc.oneof(fc.constantFrom(...FAILURE_CLASSES, '__proto__'), fc.anything()),
    error: fc.anything(),
  },
  { requiredKeys: [] },
);
const odd = fc.constantFrom<Made>(
  revoked,
  () => Symbol('s'),
  () => refuse,
  () => globalThis,
  () => 1n,
  () => null,
);
const anything: fc.Arbitrary<Made> = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withSparseArray: true }).map(
    (value): Made =>
      () =>
        value,
  ),
  known.map(
    (parts): Made =>
      () =>
        parts,
  ),
  known.map(
    (parts): Made =>
      () =>
        Object.freeze({ ...parts }),
  ),
  foreign,
  trapped,
  booby,
  odd,
);

describe('whatever a handler throws', () => {
  it('has one class, the same each time', () => {
    fc.assert(
      fc.property(anything, (make) => {
        const thrown = make();
        const first = classifyThrown(thrown);
        expect(FAILURE_CLASSES).toContain(first);
        expect(classifyThrown(thrown)).toBe(first);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('whatever an upstream answers', () => {
  const names = fc.constantFrom('retry-after', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'x-odd');
  const headers = fc.dictionary(names, fc.stringMatching(/^[ -~]{0,20}$/));
  const status = fc.oneof(fc.integer({ min: 400, max: 599 }), fc.integer(), fc.double());

  it('has one class, the same each time, whatever its body is', () => {
    fc.assert(
      fc.property(status, headers, anything, (code, given, make) => {
        const answer = { status: code, headers: new Headers(given), body: make() };
        const first = classifyAnswer(answer);
        expect(FAILURE_CLASSES).toContain(first);
        expect(classifyAnswer(answer)).toBe(first);
      }),
      { numRuns: 1_000 },
    );
  });

  /** Without headers and body, every status there is. */
  const TABLE: Partial<Record<FailureClass, (status: number) => boolean>> = {
    quota: (code) => code === 402,
    'rate-limit': (code) => code === 429,
    auth: (code) => [401, 403, 407].includes(code),
    gone: (code) => [404, 410].includes(code),
    timeout: (code) => code === 408,
    transient: (code) => [409, 421, 423, 425].includes(code) || code >= 500,
    'schema-drift': (code) => [400, 405, 406, 415, 422].includes(code),
  };

  it('without a header or a body is what the table says, and fatal where it says nothing', () => {
    for (let code = 400; code <= 599; code++) {
      const rows = Object.entries(TABLE).filter(([, has]) => has(code));
      expect(rows.length, `${code} stands in one row at the most`).toBeLessThanOrEqual(1);
      expect(classifyAnswer({ status: code, headers: new Headers(), body: null }), String(code)).toBe(
        rows[0]?.[0] ?? 'fatal',
      );
    }
  });

  it('waits only for what says so: nothing but a limit or a quota burns no attempt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 599 }), fc.anything(), (code, body) => {
        const found = classifyAnswer({ status: code, headers: new Headers(), body });
        if (found === 'rate-limit' || found === 'quota') expect([402, 403, 429]).toContain(code);
      }),
    );
  });
});
