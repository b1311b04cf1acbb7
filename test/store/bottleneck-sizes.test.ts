// How large a limit is now: orders win, the stricter of two definitions holds, and a spacing never lets a count be passed.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countOf, drainMs, fitSizes, spacingMs, ticketForMs } from '../../src/store/bottleneck-sizes.ts';
import type { LimitPlan } from '../../src/words/limit.ts';
import { concurrent, perSecond } from './limit-users.ts';

const NOW = 1_000_000;
const plan: LimitPlan = { driver: 'bottleneck', limits: [concurrent(5), perSecond(20)], travelMs: 10 };
const order = (size: number, until: number | null) => JSON.stringify({ size, who: 'op', reason: 'r', at: 0, until });
const defined = (size: number, at: number) => JSON.stringify({ at, limits: [concurrent(size)] });

describe('the size', () => {
  it('is the definition, or an order that has not ended', () => {
    const size = (fields: Record<string, string>) => fitSizes(plan, fields, NOW).concurrent;
    expect(size({})).toBe(5);
    expect(size({ 'set:concurrent': order(9, null) })).toBe(9);
    expect(size({ 'set:concurrent': order(9, NOW + 1) })).toBe(9);
    expect(size({ 'set:concurrent': order(9, NOW) })).toBe(5);
  });

  it('is the stricter of the definitions of living pods', () => {
    const size = (fields: Record<string, string>) => fitSizes(plan, fields, NOW).concurrent;
    expect(size({ 'def:other': defined(2, NOW - 59_000) })).toBe(2);
    expect(size({ 'def:other': defined(8, NOW) })).toBe(5);
    expect(size({ 'def:other': defined(2, NOW - 60_000) })).toBe(5);
    expect(size({ 'def:other': defined(2, NOW), 'set:concurrent': order(7, null) })).toBe(7);
  });

  it('has only what the plan has', () => {
    const slots = fitSizes({ ...plan, limits: [concurrent(5)] }, {}, NOW);
    expect(slots).toEqual({ concurrent: 5, spacingMs: undefined });
    expect(fitSizes({ ...plan, limits: [perSecond(20)] }, {}, NOW).concurrent).toBeUndefined();
  });
});

describe('a spacing', () => {
  const use = fc.record({
    lateShare: fc.double({ min: 0, max: 1, noNaN: true }),
    travelShare: fc.double({ min: 0, max: 1, noNaN: true }),
  });

  it('never lets one more than the count arrive within the window, however late tickets are used and travel', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 60 }),
        use,
        use,
        (count, seconds, early, late) => {
          const perMs = seconds * 1_000;
          const spacing = spacingMs(count, perMs, 10);
          const arrival = (n: number, { lateShare, travelShare }: typeof early) =>
            n * spacing + lateShare * ticketForMs(perMs) + travelShare * 10;
          expect(arrival(count, late) - arrival(0, early)).toBeGreaterThan(perMs);
        },
      ),
    );
  });

  it('without room for that lets it (twin)', () => {
    const perMs = 1_000;
    const spacing = perMs / 20;
    expect(20 * spacing - (ticketForMs(perMs) + 10)).toBeLessThan(perMs);
  });
});

describe('a count made smaller', () => {
  const perMs = 60_000;
  const change = fc.record({
    before: fc.integer({ min: 2, max: 100 }),
    after: fc.integer({ min: 1, max: 99 }),
    // Which of those that the count before let through were sent: one for each that is true.
    sent: fc.array(fc.boolean(), { minLength: 1, maxLength: 100 }),
  });

  /** The most that count at once from the change on, when the next starts after `drain`. */
  function mostCounting(
    { before, after, sent }: { before: number; after: number; sent: boolean[] },
    drain: typeof drainMs,
  ): number {
    const counting = spacingMs(1, perMs, 10);
    const batches = sent.flatMap((isSent, index) => {
      const endsInMs = counting - index * spacingMs(before, perMs, 10);
      return isSent && endsInMs > 0 ? [{ endsInMs, count: 1 }] : [];
    });
    const spacing = spacingMs(after, perMs, 10);
    const firstMs = drain(batches, countOf(spacing, perMs, 10), spacing);
    const counts = Array.from({ length: after }, (_, index) => {
      const atMs = firstMs + index * spacing;
      return index + 1 + batches.filter(({ endsInMs }) => endsInMs > atMs).length;
    });
    return Math.max(...counts);
  }

  it('is never passed with what counts already, however much that is; without a pause it is (twin)', () => {
    fc.assert(fc.property(change, (given) => mostCounting(given, drainMs) <= given.after));
    const full = { before: 60, after: 30, sent: Array.from({ length: 60 }, () => true) };
    expect(mostCounting(full, drainMs)).toBe(30);
    expect(mostCounting(full, () => 0)).toBeGreaterThan(30);
  });

  it('by nothing counted already pauses for nothing', () => {
    expect(drainMs([], 5, 12_000)).toBe(0);
    expect(drainMs([{ endsInMs: 24_000, count: 1 }], 5, 12_000)).toBe(0);
  });
});
