// A limit's name is short, and of that limit alone.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatDuration } from '../../src/words/duration.ts';
import { limitName } from '../../src/words/limit.ts';

it.each([
  ['concurrent', 0, false, 'concurrent'],
  ['concurrent', 0, true, 'concurrent-by-agent'],
  ['count', 60_000, false, 'per-1m'],
  ['count', 86_400_000, true, 'per-1d-by-agent'],
  ['tokens', 5_400_000, false, 'tokens-per-1h30m'],
  ['count', 1_500, false, 'per-1500ms'],
  ['count', 90_061_000, false, 'per-90061000ms'],
] as const)('%s per %d ms, by agent %s, is %s', (kind, perMs, byAgent, name) => {
  expect(limitName(kind, perMs, byAgent)).toBe(name);
});

it('is never the name of another', () => {
  const perMs = fc.integer({ min: 1, max: 31 * 86_400_000 });
  fc.assert(
    fc.property(perMs, fc.oneof(perMs, fc.integer({ min: -999, max: 999 })), (one, other) => {
      const near = other > 0 && other < 1_000 ? one + other : Math.abs(other);
      expect(limitName('count', one, false) === limitName('count', near, false)).toBe(one === near);
    }),
    { numRuns: 2_000 },
  );
});

it('could be that of another if it were only what a person reads at a glance (twin)', () => {
  expect(formatDuration(1_500)).toBe(formatDuration(2_000));
});
