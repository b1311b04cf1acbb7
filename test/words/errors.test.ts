// Errors say what is wrong in one line whatever a caller handed in, and the documented table is the list in the code.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { ERROR_CODES, firstLine, LanekeeperError, quote, toError, wrongOption } from '../../src/words/errors.ts';

const hostile = {
  'a getter that throws': {
    get a() {
      throw new Error('no');
    },
  },
  'a toJSON that throws': {
    toJSON() {
      throw new Error('no');
    },
  },
  'a circle': (() => {
    const a: Record<string, unknown> = {};
    a.a = a;
    return a;
  })(),
  'a revoked proxy': (() => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  })(),
  'no prototype': Object.create(null) as object,
  'a BigInt inside': [1n],
  'a symbol': Symbol('s'),
  'a function': () => 1,
  'a class': class A {},
  'a large BigInt': 10n ** 500n,
};

describe('quote', () => {
  it('renders anything as one short printable line and never throws', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true }),
        (value) => expectLine(quote(value)),
      ),
      { numRuns: 500 },
    );
  });

  it.each(Object.keys(hostile) as (keyof typeof hostile)[])('survives %s', (kind) => {
    expectLine(quote(hostile[kind]));
  });

  it('keeps line ends and terminal commands of any kind out of the line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => expectLine(quote(text))),
      { numRuns: 500 },
    );
    for (const control of ['\n', '\r', '\u001b[2J', '\u0085', '\u009b2J', '\u007f', '\u2028', '\u2029']) {
      expectLine(quote(`a${control}b`));
    }
  });

  it('renders what people read', () => {
    expect(quote(undefined)).toBe('nothing');
    expect(quote(null)).toBe('null');
    expect(quote('a "b"')).toBe('"a \\"b\\""');
    expect(quote(Number.NaN)).toBe('NaN');
    expect(quote(5n)).toBe('5');
    expect(quote({ a: 1 })).toBe('{"a":1}');
  });
});

describe('toError', () => {
  it('makes an Error of anything, and leaves an Error alone', () => {
    const error = new RangeError('x');
    expect(toError(error)).toBe(error);
    expect(toError('said so').message).toBe('said so');
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        expect(toError(thrown)).toBeInstanceOf(Error);
      }),
    );
  });

  it.each(Object.keys(hostile) as (keyof typeof hostile)[])('survives %s', (kind) => {
    expect(toError(hostile[kind])).toBeInstanceOf(Error);
  });
});

describe('an error of ours', () => {
  it('carries its code, its cause, and the one form of a complaint', () => {
    const cause = new Error('why');
    expect(new LanekeeperError('LK_INPUT', 'm', { cause })).toMatchObject({
      code: 'LK_INPUT',
      name: 'LanekeeperError',
      cause,
    });
    expect(wrongOption('LK_CONFIG', 'port', 'a number', 'x').message).toBe('port: expected a number, got "x"');
  });
});

describe('the table of errors', () => {
  const inTable = (markdown: string) => [...markdown.matchAll(/^\| `(LK_[A-Z_]+)` +\|/gm)].map(([, code]) => code);

  it('in src/README.md is the list in the code', async () => {
    const markdown = await readFile(join(ROOT, 'src', 'README.md'), 'utf8').catch(() => '');
    expect(markdown, 'src/README.md with a table `| `LK_…` | meaning |` is missing').not.toBe('');
    expect(inTable(markdown).sort()).toEqual(Object.keys(ERROR_CODES).sort());
  });

  it('is compared by a reader that sees a missing row (twin)', () => {
    const rows = Object.keys(ERROR_CODES).map((code) => `| \`${code}\` | … |`);
    expect(inTable(rows.join('\n'))).toHaveLength(rows.length);
    expect(inTable(rows.slice(1).join('\n'))).toHaveLength(rows.length - 1);
  });
});

function expectLine(text: string): void {
  expect(typeof text).toBe('string');
  expect(text.length).toBeLessThanOrEqual(80);
  expect(text).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
}

describe('what is shown of a thing', () => {
  it('is its head, soon, however long the thing is', () => {
    const holes = { list: new Array(50_000_000), text: 'x'.repeat(10_000_000) };
    expect(quote(holes)).toMatch(/^\{"list":\[null,(null,)+.*\.\.\.$/);
    expect(quote(holes)).toHaveLength(80);
    expect(quote(['a', 'b'])).toBe('["a","b"]');
  });

  it('is one line of what was thrown', () => {
    expect(firstLine(new Error('one\u001b[31m\ntwo'))).toBe('one\\u001b[31m');
    expect(firstLine('x'.repeat(5_000))).toHaveLength(300);
    expect(firstLine(null)).toBe('a handler threw null, not an Error');
  });
});
