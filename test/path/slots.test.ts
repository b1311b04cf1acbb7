// A pod's slots: never more taken than there are, nobody forgotten in the line, and a busy lane hands them on.

import fc from 'fast-check';
import { describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { createSlots } from '../../src/path/slots.ts';
import { it } from '../support/world.ts';
import { RETRYING } from './looking.ts';

describe('slots', () => {
  it('are never more than their size, whatever is taken and given back in whatever order', () => {
    const steps = fc.array(fc.record({ lane: fc.constantFrom('a', 'b', 'c'), takes: fc.boolean() }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), steps, (size, list) => {
        const slots = createSlots(size);
        const held: string[] = [];
        const inLine = new Set<string>();
        const take = (lane: string) => {
          if (slots.tryTake()) held.push(lane);
          else {
            inLine.add(lane);
            slots.whenFree(lane, () => {
              inLine.delete(lane);
              take(lane);
            });
          }
        };
        for (const { lane, takes } of list) {
          if (takes) take(lane);
          else if (held.pop() !== undefined) slots.giveBack();
          expect(slots.taken).toBe(held.length);
          expect(slots.taken).toBeLessThanOrEqual(size);
          // A free slot with somebody in line would be a lane that sleeps beside its work.
          if (slots.taken < size) expect([...inLine]).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('call the lanes that wait in the order in which they came, each once', () => {
    const slots = createSlots(1);
    const called: string[] = [];
    slots.tryTake();
    for (const lane of ['a', 'b', 'a', 'c']) slots.whenFree(lane, () => void called.push(lane));
    for (let n = 0; n < 4; n++) {
      slots.giveBack();
      slots.tryTake();
    }
    expect(called).toEqual(['a', 'b', 'c']);
  });

  it('that a lane has no use for any more go to the next in line, not to nobody', () => {
    const slots = createSlots(1);
    const took: string[] = [];
    slots.tryTake();
    slots.whenFree('changed its mind', () => {});
    slots.whenFree('waits', () => void (slots.tryTake() && took.push('waits')));
    slots.giveBack();
    expect(took).toEqual(['waits']);
  });

  it('are wanted by another only when another lane waits', () => {
    const slots = createSlots(1);
    expect(slots.wantedByAnother('a')).toBe(false);
    slots.whenFree('a', () => {});
    expect(slots.wantedByAnother('a'), 'its own wish does not count').toBe(false);
    expect(slots.wantedByAnother('b')).toBe(true);
    slots.whenFree('b', () => {});
    expect(slots.wantedByAnother('a')).toBe(true);
  });
});

describe('a lane with endless work', () => {
  it('hands its slots on to the others that have work', async ({ world }) => {
    const busy = defineLane({ name: 'busy' });
    const quiet = ['one', 'two', 'three'].map((name) => defineLane({ name }));
    const producer = await world.producer();
    let isOver = false;
    let ran = 0;
    const refill = () =>
      isOver
        ? undefined
        : producer.addMany(
            busy,
            Array.from({ length: 20 }, () => ({ payload: null })),
          );
    await refill();
    const others: string[] = [];
    const pod = await world.pod(
      [
        handle(busy, { run: () => (ran++ % 10 === 0 ? refill()?.then(() => null) : null) }),
        ...quiet.map((lane) => handle(lane, { run: () => void others.push(lane.name) })),
      ],
      { concurrency: 1 },
    );
    await vi.waitFor(() => expect(ran).toBeGreaterThan(20), RETRYING);
    for (const lane of quiet)
      await producer.addMany(
        lane,
        Array.from({ length: 5 }, () => ({ payload: null })),
      );
    await vi.waitFor(() => expect(others).toHaveLength(15), RETRYING);
    expect(await world.queue(busy).backend.getCounts(['wait']), 'it still had work').not.toEqual([0]);
    isOver = true;
    await pod.stop('over', 5_000);
  });
});

describe('a pod with fewer slots than its lanes could use', () => {
  it.for([1, 2, 3, 5])(
    '(%d) runs all that there is: no lane is left asleep beside its work',
    async (concurrency, { world }) => {
      const lanes = ['one', 'two', 'three', 'four'].map((name) => defineLane({ name, concurrency: 8 }));
      const producer = await world.producer();
      for (const lane of lanes)
        await producer.addMany(
          lane,
          Array.from({ length: 60 }, () => ({ payload: null })),
        );
      let ran = 0;
      const run = async () => {
        await new Promise((resolve) => setImmediate(resolve));
        ran++;
      };
      await world.pod(
        lanes.map((lane) => handle(lane, { run })),
        { concurrency },
      );
      await vi.waitFor(() => expect(ran).toBe(240), RETRYING);
    },
  );
});
