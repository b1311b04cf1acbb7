// Ids are never the caller's text and sort by time.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { newJobId } from '../../src/path/job-id.ts';
import { it } from '../support/world.ts';
import { untilState } from './looking.ts';

describe('an id', () => {
  it('has one form', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        (at) => void expect(newJobId(at)).toMatch(/^j[0-9A-Za-z]{15}$/),
      ),
    );
  });

  it('sorts by its time', () => {
    const at = fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2055, 0) });
    fc.assert(
      fc.property(at, at, (one, other) => {
        fc.pre(one !== other);
        expect(newJobId(one) < newJobId(other)).toBe(one < other);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is another each time, also within one millisecond', () => {
    const ids = Array.from({ length: 10_000 }, () => newJobId(5));
    expect(new Set(ids).size).toBe(10_000);
  });
});

describe('a key that is called as one of the queue itself', () => {
  it('bricks nothing: the job runs and the lane goes on', async ({ world }) => {
    const lane = defineLane({ name: 'keys' });
    const ran: (string | null)[] = [];
    await world.pod([handle(lane, { run: ({ key }) => void ran.push(key) })]);
    const producer = await world.producer();
    const keys = ['wait', 'meta', 'marker', 'id', 'active', 'delayed', 'events', '0', 'pc', '__proto__', 'a:b'];
    for (const key of keys) {
      const { id } = await producer.add(lane, {}, { key });
      expect(id).not.toContain(key.length > 2 ? key : '\n');
      await untilState(world.queue(lane), id, 'done');
    }
    expect(ran).toEqual(keys);
  });
});
