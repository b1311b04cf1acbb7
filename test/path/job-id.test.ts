// Ids are never the caller's text, sort by time when nobody gave a key, and are always the same for the same key.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { keyedJobId, newJobId } from '../../src/path/job-id.ts';
import { it } from '../support/world.ts';
import { untilState } from './looking.ts';

const FORM = /^j_[0-9a-f]{26}$/;

describe('an id', () => {
  it('has one form, whatever it was made from', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 2 ** 48 - 1 }), (text, at) => {
        expect(keyedJobId(text, text)).toMatch(FORM);
        expect(newJobId(at)).toMatch(FORM);
      }),
    );
  });

  it('of a key is stable, in every process, and another for another key or lane', () => {
    expect(keyedJobId('publish', 'order-7'), 'changing this doubles every job that is under way').toBe(
      'j_035d4783e4f9800e16faa46111',
    );
    expect(keyedJobId('publish', 'order-8')).not.toBe(keyedJobId('publish', 'order-7'));
    expect(keyedJobId('collect', 'order-7')).not.toBe(keyedJobId('publish', 'order-7'));
  });

  it('of a key holds none of its text', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{4,20}$/), (key) => {
        expect(keyedJobId('a', key)).not.toContain(key);
      }),
    );
  });

  it('without a key sorts by its time', () => {
    const at = fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2055, 0) });
    fc.assert(
      fc.property(at, at, (one, other) => {
        fc.pre(one !== other);
        expect(newJobId(one) < newJobId(other)).toBe(one < other);
      }),
      { numRuns: 1_000 },
    );
  });

  it('without a key is another each time, also within one millisecond', () => {
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
      await untilState(world.queue(lane), id, 'done');
    }
    expect(ran).toEqual(keys);
  });
});
