// One value has one text, whatever the order in which its fields were written, and two values never share one.

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toCanonicalJson } from '../../src/words/canonical-json.ts';

/** As JSON.parse makes it: no -0, no undefined. */
const json = fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);

function turnedRound(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(turnedRound);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, field]) => [name, turnedRound(field)]),
  );
}

describe('the canonical text', () => {
  it('reads back as the value', () => {
    fc.assert(fc.property(json, (value) => void expect(JSON.parse(toCanonicalJson(value))).toEqual(value)));
  });

  it('does not depend on the order of fields', () => {
    fc.assert(
      fc.property(json, (value) => void expect(toCanonicalJson(turnedRound(value))).toBe(toCanonicalJson(value))),
    );
  });

  it('is the same for equal values, and another for others', () => {
    fc.assert(
      fc.property(json, json, (one, other) => {
        expect(toCanonicalJson(one) === toCanonicalJson(other)).toBe(isDeepStrictEqual(one, other));
      }),
      { numRuns: 1_000 },
    );
  });

  it.for([
    [{ b: 1, a: [{ d: null, c: 'x' }] }, '{"a":[{"c":"x","d":null}],"b":1}'],
    [{ 2: 'b', 10: 'a', '-1': 0 }, '{"2":"b","10":"a","-1":0}'],
    [{ é: 1, z: 2, 𝒜: 3 }, '{"z":2,"é":1,"𝒜":3}'],
  ] as const)('of %j is %s', ([value, text]) => {
    expect(toCanonicalJson(value)).toBe(text);
  });
});
