// An instant is one moment on every machine, or it is refused.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toInstant } from '../../src/words/clock.ts';
import { toEpochMs } from '../../src/words/instant.ts';

const MAX_EPOCH_MS = Date.UTC(10_000, 0, 1) - 1;

describe('an instant', () => {
  it.each([
    ['2030-01-31T08:00:00Z', Date.UTC(2030, 0, 31, 8)],
    ['2030-01-31t08:00:00z', Date.UTC(2030, 0, 31, 8)],
    ['2030-01-31T08:00Z', Date.UTC(2030, 0, 31, 8)],
    ['2030-01-31T08:00:00.250Z', Date.UTC(2030, 0, 31, 8, 0, 0, 250)],
    ['2030-01-31T10:00:00+02:00', Date.UTC(2030, 0, 31, 8)],
    [new Date(5), 5],
    [0, 0],
    [1.4, 1],
    [MAX_EPOCH_MS, MAX_EPOCH_MS],
  ])('%j is read', (given, ms) => {
    expect(toEpochMs(given)).toBe(ms);
  });

  it.each([
    '2030-01-31T08:00:00', // no zone: another moment on every machine
    '2030-01-31',
    '08:00',
    'May',
    '1',
    '1900000000000',
    'tomorrow',
    '',
    '2030-13-01T00:00:00Z',
    '1960-01-01T00:00:00Z',
    '+010000-01-01T00:00:00Z',
    ' 2030-01-31T08:00:00Z',
    '2030-01-31T08:00:00Z\n',
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    MAX_EPOCH_MS + 1,
    new Date('no date'),
    new Date(-1),
    null,
    undefined,
    true,
    {},
    [2030],
  ])('%o is refused', (given) => {
    expect(toEpochMs(given)).toBeUndefined();
  });

  it('that the engine writes reads back as itself', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_EPOCH_MS }), (ms) => {
        expect(toEpochMs(toInstant(ms))).toBe(ms);
        expect(toEpochMs(new Date(ms))).toBe(ms);
      }),
    );
  });

  it('that is not known stays null and is never drawn as 1970', () => {
    expect(toInstant(null)).toBeNull();
    expect(toInstant(undefined)).toBeNull();
    expect(toInstant(0)).toBe('1970-01-01T00:00:00.000Z');
  });

  it('that no calendar has stays null: a plain producer may delay a job by 1e20 ms', () => {
    for (const ms of [1e20, -1e20, Number.NaN, Number.POSITIVE_INFINITY]) expect(toInstant(ms)).toBeNull();
    expect(toInstant(8.64e15)).toBe('+275760-09-13T00:00:00.000Z');
  });

  it('is refused, not thrown at, when it throws as it is looked at', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    class Late extends Date {
      override getTime(): number {
        throw new Error('not now');
      }
    }
    expect([toEpochMs(proxy), toEpochMs(new Late())]).toEqual([undefined, undefined]);
  });

  it('is no BigInt', () => {
    expect(toEpochMs(5n)).toBeUndefined();
  });

  it('never comes out of noise as anything but a whole number that BullMQ keeps to the millisecond', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.date({ noInvalidDate: false }), fc.string()), (noise) => {
        const read = toEpochMs(noise);
        if (read === undefined) return;
        expect(Math.floor((read * 4096) / 4096)).toBe(read);
        expect(Number.isSafeInteger(read)).toBe(true);
      }),
    );
  });
});
