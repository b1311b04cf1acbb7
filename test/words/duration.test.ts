// A duration is read as it was written, or refused: there is no third way.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, toDurationMs } from '../../src/words/duration.ts';

const HUNDRED_YEARS_MS = 100 * 365 * 86_400_000;
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

describe('a duration', () => {
  it.each([
    ['250ms', 250],
    ['0s', 0],
    ['1.5s', 1_500],
    ['0.4ms', 0],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['1m30s', 90_000],
    ['30d', 30 * 86_400_000],
    [0, 0],
    [1_500, 1_500],
  ])('%j is %d ms', (given, ms) => {
    expect(toDurationMs(given)).toBe(ms);
  });

  it.each([
    Number.NaN,
    -1,
    1.5,
    Number.POSITIVE_INFINITY,
    HUNDRED_YEARS_MS + 1,
    '5',
    '1 h',
    ' 1h',
    '1h ',
    '1h\n',
    '',
    'h',
    '1e3s',
    '-1s',
    '+1s',
    '1.s',
    '.5s',
    '1H',
    '1w',
    '1h 30m',
    '٣s',
    `${'9'.repeat(400)}d`,
    '36501d',
    null,
    undefined,
    true,
    {},
    ['1s'],
    new Date(0),
  ])('%o is refused', (given) => {
    expect(toDurationMs(given)).toBeUndefined();
  });

  it('that was formatted reads back: exactly below a second, and within the unit that was left out above it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: HUNDRED_YEARS_MS }), (ms) => {
        const text = formatDuration(ms);
        const read = toDurationMs(text);
        expect(text).toMatch(/^(\d+(ms|s|m|h|d)){1,2}$/);
        expect(read).toBeDefined();
        // Two units at the most are shown: what is lost is less than one of the smaller of them.
        const smallest = (text.match(/ms|[smhd]/g) ?? []).at(-1) as keyof typeof UNIT_MS;
        const units = Object.values(UNIT_MS);
        const lost = ms < 1_000 ? 0 : ((text.match(/\d+/g)?.length === 2 ? UNIT_MS[smallest] : units.at(-1)) as number);
        expect(Math.abs((read as number) - ms)).toBeLessThanOrEqual(lost);
        expect(formatDuration(read as number), 'formatting what was read changes nothing more').toBe(text);
      }),
    );
  });

  it('of whole units survives the round trip unchanged', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(['s', 'm', 'h', 'd'] as const)),
        fc.integer({ min: 1, max: 1_000 }),
        (unit, n) => {
          const ms = n * UNIT_MS[unit];
          const parts = formatDuration(ms).match(/\d+/g) ?? [];
          fc.pre(parts.length === 1 || ms % UNIT_MS[formatDuration(ms).at(-1) as 's'] === 0);
          expect(toDurationMs(formatDuration(ms))).toBe(ms);
        },
      ),
    );
  });

  it('is no BigInt', () => {
    expect(toDurationMs(5n)).toBeUndefined();
  });

  it('never comes out of noise as anything but whole milliseconds within bounds', () => {
    fc.assert(
      fc.property(fc.anything(), (noise) => {
        const read = toDurationMs(noise);
        if (read === undefined) return;
        expect(Number.isInteger(read) && read >= 0 && read <= HUNDRED_YEARS_MS).toBe(true);
      }),
    );
  });
});
