// Dead letters taken elsewhere: each a record that stands by itself, told once, with memory for a page of them and no more.

import { describe, expect } from 'vitest';
import { dead, defineLane, handle } from '../../src/index.ts';
import { listDead } from '../../src/path/dead-letters.ts';
import { exportLetters, type LetterRecord } from '../../src/path/letter-export.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import type { FailureClass } from '../../src/words/failure.ts';
import { it } from '../support/world.ts';
import { bury, letterId } from './letter-flood.ts';
import { plainQueue, untilState } from './looking.ts';

const lane = defineLane({ name: 'letters', retry: { attempts: 2, backoff: [0], jitter: 0 } });

async function all(queue: LaneQueue, wanted?: FailureClass): Promise<LetterRecord[]> {
  const records: LetterRecord[] = [];
  for await (const record of exportLetters(queue, wanted)) records.push(record);
  return records;
}

describe('an exported letter', () => {
  it('says what it was, when, for whom, and every failure it had', async ({ world }) => {
    const queue = world.queue(lane);
    let times = 0;
    const run = () => {
      if (++times === 1) throw new TypeError('first');
      return dead('given up');
    };
    await world.pod([handle(lane, { run })]);
    const payload = { title: 'T', createdAt: 1_700_000_000_000 };
    const plain = await plainQueue(world, lane).add('x', { lk: 1, payload, agent: 'a01', key: 'order-7' });
    const id = plain.id as string;
    await untilState(queue, id, 'dead');
    const [record, ...others] = await all(queue);
    expect(others).toEqual([]);
    const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(record).toEqual({
      id,
      lane: 'letters',
      class: 'fatal',
      reason: 'given up',
      attempts: 2,
      agent: 'a01',
      key: 'order-7',
      payload, // instants of a payload are the sender's: as sent
      enqueuedAt: instant,
      finishedAt: instant,
      stacks: [
        expect.objectContaining({ class: 'transient', attempt: 1, agent: 'a01', at: instant }),
        expect.objectContaining({ class: 'fatal', attempt: 2, trace: expect.stringContaining('given up') }),
      ],
    });
  });

  it('of a plain worker, or with data that is no JSON, is told as far as it is known', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 2 });
    await queue.redis.hset(queue.jobKey(letterId(0)), 'data', '{broken', 'stacktrace', '["Error: theirs"]');
    await queue.redis.hset(queue.jobKey(letterId(1)), 'stacktrace', 'no list');
    expect(await all(queue)).toMatchObject([
      { id: letterId(0), class: null, payload: '{broken', stacks: [{ trace: 'Error: theirs' }] },
      { id: letterId(1), class: null, stacks: [] },
    ]);
  });
});

describe('an export', () => {
  it('tells each once, oldest first, those of a class alone when asked', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 333, ofClass: (n) => (n % 2 === 0 ? 'auth' : 'gone') });
    expect((await all(queue)).map(({ id }) => id)).toEqual(Array.from({ length: 333 }, (_, n) => letterId(n)));
    expect((await all(queue, 'auth')).every((record) => record.class === 'auth')).toBe(true);
    expect(await all(queue, 'auth')).toHaveLength(167);
    expect(await all(queue, 'quota')).toEqual([]);
  });

  it('leaves out who leaves while it goes on', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 120 });
    const seen: string[] = [];
    for await (const { id } of exportLetters(queue)) {
      seen.push(id);
      if (seen.length === 1) await queue.redis.del(queue.jobKey(letterId(100)));
    }
    expect(seen).toHaveLength(119);
  });
});

describe('a list of a class', () => {
  it('is newest first, and as long as asked', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 300, ofClass: (n) => (n % 100 === 0 ? 'auth' : 'gone') });
    expect((await listDead(queue, 2, 'auth')).map(({ id }) => id)).toEqual([letterId(200), letterId(100)]);
    expect(await listDead(queue, 20, 'auth')).toHaveLength(3);
    expect(await listDead(queue, 20, 'quota')).toEqual([]);
  });
});
