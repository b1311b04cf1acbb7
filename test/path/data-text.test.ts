// What a job's data may not hold, however it is spelled, and what only looks like it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findUnfit } from '../../src/path/data-text.ts';

const spelled = (letters: string, mask: number) =>
  [...letters]
    .map((char, place) => ((mask >> place) & 1 ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char))
    .join('');

describe('a field __proto__', () => {
  it('is found however its letters, its blanks and its place are written', () => {
    const blanks = fc.constantFrom('', ' ', '\n\t', '   ');
    fc.assert(
      fc.property(fc.nat(511), blanks, blanks, fc.nat(5), (mask, before, after, depth) => {
        const field = `{"a":1,"${spelled('__proto__', mask)}"${before}:${after}{}}`;
        const text = `${'{"x":['.repeat(depth)}${field}${']}'.repeat(depth)}`;
        expect(Object.keys(JSON.parse(field) as object)).toContain('__proto__');
        expect(findUnfit(text)).toBe("expected no field called '__proto__'");
      }),
    );
  });

  it.each([
    ['a value of that text', { a: '__proto__' }],
    ['a text that quotes it', { a: '"__proto__":1' }],
    ['a text that quotes it with a blank', { a: '"__proto__" : 1' }],
    ['a longer name', { __proto__x: 1, x__proto__: 2 }],
    ['text with escapes', { a: '\\u005f_proto__":' }],
  ])('is not %s (twin)', (_, value) => {
    expect(findUnfit(JSON.stringify(value))).toBeUndefined();
    expect(findUnfit(JSON.stringify(value, null, 2).replaceAll('":', '" :'))).toBeUndefined();
  });
});

describe('nesting', () => {
  it('is counted outside of texts alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.string(), (depth, text) => {
        const nested = `${'['.repeat(depth)}${JSON.stringify(`${'['.repeat(300)}${text}"`)}${']'.repeat(depth)}`;
        expect(findUnfit(nested) === undefined).toBe(depth <= 100);
      }),
    );
  });
});
