// The judge's sweeps against judges too simple to be wrong, over random logs full of ties; and the door against the judge:
// what it refuses is exactly what gets convicted.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeBehaviour, DEFAULT_BEHAVIOUR } from '../../src/simulator/behaviour.ts';
import { admit } from '../../src/simulator/door.ts';
import { judge } from '../../src/simulator/judge.ts';
import { endedAt, isWrite, type RequestRecord } from '../../src/simulator/record.ts';
import { createWorld } from '../../src/simulator/world.ts';
import { log, type Made } from './hand-made.ts';

/** Quarters of a ms within a short stretch, so that ties and exact boundaries are common. */
const quarters = (max: number) => fc.integer({ min: 0, max: max * 4 }).map((steps) => steps / 4);

const request = fc.record({
  at: quarters(20),
  lastsMs: fc.option(quarters(8), { freq: 12 }),
  agent: fc.constantFrom('a', 'b', null),
});

const logs = fc.array(request, { maxLength: 40 }).map((requests) => {
  const made = requests.map(
    ({ at, lastsMs, agent }): Made => ({ at, agent, end: lastsMs === null ? null : at + lastsMs }),
  );
  return log(...made);
});

const inOrder = (records: RequestRecord[]) => [...records].sort((a, b) => a.arrivedAt - b.arrivedAt || a.n - b.n);
const offenders = (
  records: RequestRecord[],
  isOffence: (record: RequestRecord, before: RequestRecord[]) => boolean,
) => {
  const ordered = inOrder(records);
  return ordered.filter((record, index) => isOffence(record, ordered.slice(0, index))).map((record) => record.n);
};
const convicted = (verdict: ReturnType<typeof judge>, rule: string) =>
  verdict.convictions.filter((one) => one.rule === rule).map((one) => one.records.at(-1));
const byNumber = (numbers: (number | undefined)[]) => [...numbers].sort((a, b) => a! - b!);

describe('the judge agrees with a naive one', () => {
  test('at once, overall and by agent', () => {
    fc.assert(
      fc.property(
        logs,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(undefined, 'agent' as const),
        (records, concurrent, by) => {
          const isUnderWay = (one: RequestRecord, at: number) => endedAt(one) > at;
          const expected = offenders(records, (record, before) => {
            if (by && record.agent === null) return false;
            const rivals = before.filter((one) => !by || one.agent === record.agent);
            return rivals.filter((one) => isUnderWay(one, record.arrivedAt)).length + 1 > concurrent;
          });
          const verdict = judge(records, { limits: [by ? { concurrent, by } : { concurrent }] });
          expect(byNumber(convicted(verdict, 'concurrent'))).toEqual(byNumber(expected));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('the proof of a conviction is exactly those under way', () => {
    fc.assert(
      fc.property(logs, (records) => {
        for (const { records: proof } of judge(records, { limits: [{ concurrent: 1 }] }).convictions) {
          const offender = records.find((record) => record.n === proof.at(-1))!;
          const ordered = inOrder(records);
          const before = ordered.slice(0, ordered.indexOf(offender));
          const open = before.filter((one) => endedAt(one) > offender.arrivedAt).map((one) => one.n);
          expect(proof).toEqual([...open, offender.n]);
        }
      }),
    );
  });

  test('per time: an interval placed anywhere holds no more than the judge says, and some interval holds as many', () => {
    fc.assert(
      fc.property(logs, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 5 }), (records, per, count) => {
        const starts = [...records.map((record) => record.arrivedAt), -1, 0.125];
        const within = (start: number) =>
          records.filter((r) => r.arrivedAt >= start && r.arrivedAt < start + per).length;
        const most = Math.max(0, ...starts.map(within));
        const verdict = judge(records, { limits: [{ count, per }] });
        expect(verdict.summary.intervals[0]?.max).toBe(most);
        expect(verdict.clean).toBe(most <= count);
        const expected = offenders(
          records,
          (record, before) => before.filter((one) => record.arrivedAt - one.arrivedAt < per).length + 1 > count,
        );
        expect(convicted(verdict, 'rate')).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('cooldowns', () => {
    fc.assert(
      fc.property(logs, fc.integer({ min: 0, max: 6 }), (records, cooldown) => {
        const expected = offenders(records, (record, before) => {
          const own = before.filter((one) => one.agent === record.agent && one.agent !== null);
          return own.some((one) => record.arrivedAt - endedAt(one) < cooldown);
        });
        const verdict = judge(records, { cooldown });
        expect(byNumber(convicted(verdict, 'cooldown'))).toEqual(byNumber(expected));
        const gaps = inOrder(records).flatMap((record, index, all) => {
          const own = all.slice(0, index).filter((one) => one.agent === record.agent && one.agent !== null);
          return own.length > 0 ? [record.arrivedAt - Math.max(...own.map(endedAt))] : [];
        });
        const smallest = gaps.length > 0 ? (verdict.summary.smallestGap?.gapMs ?? -Infinity) : undefined;
        expect(smallest).toBe(gaps.length > 0 ? Math.min(...gaps) : undefined);
      }),
      { numRuns: 500 },
    );
  });

  test('fences', () => {
    const tokens = fc.array(
      fc.record({ at: quarters(5), fence: fc.nat(5).map(String), fenceScope: fc.constantFrom('x', 'y') }),
    );
    fc.assert(
      fc.property(tokens, (made) => {
        const records = log(...made);
        const expected = offenders(records, (record, before) =>
          before.some((one) => one.fenceScope === record.fenceScope && Number(one.fence) > Number(record.fence)),
        );
        expect(convicted(judge(records), 'fence')).toEqual(expected);
      }),
    );
  });
});

describe('the door refuses exactly what the judge convicts', () => {
  const limits = fc.array(
    fc.oneof(
      fc.record({ concurrent: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ concurrent: fc.integer({ min: 1, max: 2 }), by: fc.constant('agent' as const) }),
      fc.record({ count: fc.integer({ min: 1, max: 4 }), per: fc.integer({ min: 1, max: 6 }) }),
      fc.record({
        count: fc.integer({ min: 1, max: 2 }),
        per: fc.integer({ min: 1, max: 6 }),
        by: fc.constant('agent' as const),
      }),
    ),
    { maxLength: 3 },
  );

  test.each([true, false])('by limits and cooldowns, countRefused %s', (countRefused) => {
    fc.assert(
      fc.property(logs, limits, fc.option(fc.integer({ min: 0, max: 4 })), (records, some, cooldown) => {
        const behaviour = changeBehaviour(DEFAULT_BEHAVIOUR, { limits: some, cooldown, countRefused });
        const world = createWorld(behaviour, 0, 1_000);
        const inside: { record: RequestRecord; counts: boolean }[] = [];
        const leave = (at: number) => {
          const done = inside.filter(({ record }) => endedAt(record) <= at);
          for (const one of done.sort((a, b) => endedAt(a.record) - endedAt(b.record))) {
            inside.splice(inside.indexOf(one), 1);
            const { agent, method } = one.record;
            if (one.counts) world.agents.leave({ agent, isWrite: isWrite(method) }, endedAt(one.record));
          }
        };
        const refused: number[] = [];
        for (const record of inOrder(records)) {
          leave(record.arrivedAt);
          const { refusal, counts } = admit({ record, world, behaviour, pin: null, seed: 1 });
          inside.push({ record, counts });
          if (refusal) refused.push(record.n);
          else if (record.answeredAt === null) record.outcome = 'open';
          if (refusal) record.answeredAt = record.arrivedAt + 0.25; // a refusal is quick, but takes some time
        }
        const verdict = judge(records, { limits: some, cooldown, countRefused });
        const guilty = new Set(verdict.convictions.map((one) => one.records.at(-1)));
        // When refused requests do not count they never broke a limit either; those that came too early are convicted still.
        const early = records.filter((record) => record.refusedBy === 'cooldown').map((record) => record.n);
        expect(byNumber([...guilty])).toEqual(byNumber(countRefused ? refused : early));
      }),
      { numRuns: 500 },
    );
  });
});
