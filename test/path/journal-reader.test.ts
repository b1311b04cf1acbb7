// The reader of the journal: every line once and in order, however it is cut into pages; what was lost is named, not hidden.

import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, vi } from 'vitest';
import {
  followJournal,
  type JournalLine,
  type JournalStream,
  journalStreams,
  readJournal,
} from '../../src/path/journal-reader.ts';
import { type Told, toBatch, writeBatch } from '../../src/store/journal-stream.ts';
import { it, type World } from '../support/world.ts';
import { heapNow } from './letter-heap.ts';
import { rejection } from './looking.ts';

const TAGS = ['forum', 'shop'];
const T0 = 1_700_000_000_000;

const stalled = (job: string, age = 0): Told => ({ what: 'job.stalled', age, data: { lane: 'a', job } });

/** A batch at an instant that we choose. */
async function write(redis: Redis, key: string, id: string, jobs: readonly string[], dropped = 0): Promise<void> {
  const fields = ['who', 'pod-1', 'batch', toBatch(jobs.map((job) => stalled(job)))];
  await redis.xadd(key, id, ...fields, ...(dropped > 0 ? ['dropped', String(dropped)] : []));
}

async function readAll(world: World, limits: readonly number[], streams = journalStreams(world.keys, TAGS)) {
  const lines: JournalLine[] = [];
  const cursors: string[] = [];
  let after: string | undefined;
  for (let turn = 0; ; turn++) {
    const page = await readJournal({ redis: world.redis, streams, after, limit: limits[turn % limits.length] });
    lines.push(...page.entries);
    after = page.cursor;
    cursors.push(after);
    if (!page.hasMore) return { lines, cursor: after, cursors };
  }
}

const told = (lines: readonly JournalLine[]) =>
  lines.map((line) => (line.what === 'journal.gap' ? `gap ${line.why} ${line.lost}` : String(line.job)));

const keyOf = (streams: readonly JournalStream[], index: number) => (streams[index] as JournalStream).key;

describe('a written history of several streams', () => {
  const batch = fc.record({
    stream: fc.nat(2),
    step: fc.nat(2),
    count: fc.nat(5),
    dropped: fc.constantFrom(0, 0, 0, 7),
  });
  const history = fc.array(batch, { minLength: 1, maxLength: 30 });
  const limits = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

  it('gives the same lines however it is cut into pages, and the rest after any of them', async ({ world }) => {
    await fc.assert(
      fc.asyncProperty(history, limits, fc.integer({ min: 0, max: 3 }), async (batches, cut, trimTo) => {
        const streams = journalStreams(world.keys, TAGS);
        await world.redis.del(...streams.map(({ key }) => key));
        let at = T0;
        const expected: { order: number; at: number; stream: number; jobs: string[] }[] = [];
        for (const [n, { stream, step, count, dropped }] of batches.entries()) {
          at += step;
          const jobs = Array.from({ length: count }, (_, m) => `${n}.${m}`);
          await write(world.redis, keyOf(streams, stream), `${at}-${n}`, jobs, dropped);
          expected.push({ order: n, at, stream, jobs: dropped > 0 ? [`gap dropped ${dropped}`, ...jobs] : jobs });
        }
        // By id, which is the instant and the place of the write.
        const whole = await readAll(world, [10_000]);
        expect(told(whole.lines)).toEqual(expected.flatMap(({ jobs }) => jobs));
        const inPages = await readAll(world, cut);
        expect(inPages.lines).toEqual(whole.lines);
        const oneByOne = await readAll(world, [1]);
        expect(oneByOne.lines).toEqual(whole.lines);
        for (const [index, after] of oneByOne.cursors.entries()) {
          if (index % 7 !== trimTo) continue;
          const rest = await readJournal({ redis: world.redis, streams, after, limit: 10_000 });
          expect(rest.entries).toEqual(whole.lines.slice(index + 1));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('merges the streams by time and names whose each line is', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    await write(world.redis, keyOf(streams, 1), `${T0 + 5}-0`, ['b']);
    await write(world.redis, keyOf(streams, 0), `${T0}-0`, ['a']);
    await write(world.redis, keyOf(streams, 2), `${T0 + 9}-0`, ['c']);
    const { entries } = await readJournal({ redis: world.redis, streams });
    expect(entries).toEqual([
      { at: T0, what: 'job.stalled', who: 'pod-1', tag: 'forum', lane: 'a', job: 'a' },
      { at: T0 + 5, what: 'job.stalled', who: 'pod-1', tag: 'shop', lane: 'a', job: 'b' },
      { at: T0 + 9, what: 'job.stalled', who: 'pod-1', tag: null, lane: 'a', job: 'c' },
    ]);
  });

  it('begins where it is told to, and an empty journal is one', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    const none = await readJournal({ redis: world.redis, streams });
    expect(none).toMatchObject({ entries: [], hasMore: false });
    for (let n = 0; n < 20; n++) await write(world.redis, keyOf(streams, n % 3), `${T0 + n}-0`, [String(n)]);
    const since = await readJournal({ redis: world.redis, streams, sinceAt: T0 + 12, limit: 5 });
    expect(told(since.entries)).toEqual(['12', '13', '14', '15', '16']);
    const rest = await readJournal({ redis: world.redis, streams, after: since.cursor });
    expect(told(rest.entries)).toEqual(['17', '18', '19']);
    expect(told((await readJournal({ redis: world.redis, streams, after: none.cursor })).entries)).toHaveLength(20);
  });
});

describe('what was lost', () => {
  async function written(world: World, count: number): Promise<{ key: string; streams: JournalStream[] }> {
    const streams = journalStreams(world.keys, TAGS);
    const key = keyOf(streams, 0);
    for (let n = 0; n < count; n++) await write(world.redis, key, `${T0 + n}-0`, [`${n}.0`, `${n}.1`]);
    return { key, streams };
  }

  it('to retention is counted by who fell behind it', async ({ world }) => {
    const { key, streams } = await written(world, 20);
    const { cursor } = await readJournal({ redis: world.redis, streams, limit: 6 });
    await world.redis.xtrim(key, 'MINID', `${T0 + 10}`);
    const page = await readJournal({ redis: world.redis, streams, after: cursor, limit: 2 });
    expect(page.entries).toMatchObject([
      { what: 'journal.gap', why: 'retention', lost: 7, at: T0 + 2, untilAt: T0 + 10, tag: 'forum' },
      { job: '10.0' },
    ]);
    const rest = await readJournal({ redis: world.redis, streams, after: page.cursor });
    expect(told(rest.entries).slice(0, 2)).toEqual(['10.1', '11.0']);
    expect(told(rest.entries)).toHaveLength(19);
  });

  it('is told also when the page ended right before it, and once', async ({ world }) => {
    const { key, streams } = await written(world, 10);
    await world.redis.xtrim(key, 'MINID', `${T0 + 8}`);
    await write(world.redis, keyOf(streams, 1), `${T0 + 1}-0`, ['other']);
    const { lines } = await readAll(world, [1]);
    expect(told(lines)).toEqual(['other', 'gap retention 8', '8.0', '8.1', '9.0', '9.1']);
  });

  it('in the middle of a batch counts that batch', async ({ world }) => {
    const { key, streams } = await written(world, 10);
    const { cursor } = await readJournal({ redis: world.redis, streams, limit: 5 });
    await world.redis.xtrim(key, 'MINID', `${T0 + 4}`);
    const { entries } = await readJournal({ redis: world.redis, streams, after: cursor });
    expect(told(entries).slice(0, 2)).toEqual(['gap retention 2', '4.0']);
  });

  it('is nothing when only what was read is gone, even all of it', async ({ world }) => {
    const { key, streams } = await written(world, 10);
    const { cursor } = await readJournal({ redis: world.redis, streams, limit: 10 });
    await world.redis.xtrim(key, 'MINID', `${T0 + 5}`);
    const { entries, cursor: end } = await readJournal({ redis: world.redis, streams, after: cursor });
    expect(told(entries)[0]).toBe('5.0');
    expect(entries).toHaveLength(10);
    await world.redis.xtrim(key, 'MAXLEN', 0);
    expect(await readJournal({ redis: world.redis, streams, after: end })).toMatchObject({ entries: [] });
    const all = await readJournal({ redis: world.redis, streams, after: cursor });
    expect(told(all.entries)).toEqual(['gap retention 5']);
    await write(world.redis, key, `${T0 + 50}-0`, ['new']);
    expect(told((await readJournal({ redis: world.redis, streams, after: all.cursor })).entries)).toEqual(['new']);
  });

  it('of an instant that retention has passed is a gap; of a later one it is none', async ({ world }) => {
    const { key, streams } = await written(world, 10);
    await world.redis.xtrim(key, 'MINID', `${T0 + 5}`);
    const early = await readJournal({ redis: world.redis, streams, sinceAt: T0 + 2 });
    expect(early.entries[0]).toMatchObject({ what: 'journal.gap', lost: null, at: T0 + 2, untilAt: T0 + 5 });
    const late = await readJournal({ redis: world.redis, streams, sinceAt: T0 + 7 });
    expect(told(late.entries)[0]).toBe('7.0');
  });

  it('is counted for a cursor that began at an instant, once it has come to the end', async ({ world }) => {
    const { key, streams } = await written(world, 10);
    const { cursor } = await readJournal({ redis: world.redis, streams, sinceAt: T0 + 5 });
    for (let n = 10; n < 20; n++) await write(world.redis, key, `${T0 + n}-0`, [`${n}.0`]);
    await world.redis.xtrim(key, 'MINID', `${T0 + 13}`);
    const { entries } = await readJournal({ redis: world.redis, streams, after: cursor });
    expect(told(entries).slice(0, 2)).toEqual(['gap retention 3', '13.0']);
  });

  it('with the whole stream is told, whether the new one lies before or behind it', async ({ world }) => {
    for (const firstAt of [T0 - 100, T0 + 100]) {
      const { key, streams } = await written(world, 5);
      const { cursor } = await readJournal({ redis: world.redis, streams });
      await world.redis.del(key);
      expect((await readJournal({ redis: world.redis, streams, after: cursor })).entries).toEqual([]);
      await write(world.redis, key, `${firstAt}-0`, ['new']);
      const page = await readJournal({ redis: world.redis, streams, after: cursor });
      expect(told(page.entries)).toEqual(['gap lost null', 'new']);
      expect((await readJournal({ redis: world.redis, streams, after: page.cursor })).entries).toEqual([]);
      await world.redis.del(key);
    }
  });

  it('by what is not ours in a stream stops nobody', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    const key = keyOf(streams, 0);
    for (const text of ['{', '7', '[7]', '[null]', '[{"what":1}]']) await world.redis.xadd(key, '*', 'batch', text);
    await world.redis.xadd(key, '*', 'some', 'thing');
    await writeBatch(world.redis, key, 'pod-1', [stalled('mine')]);
    const { entries } = await readJournal({ redis: world.redis, streams });
    expect(told(entries)).toEqual([...Array(5).fill('gap unreadable null'), 'mine']);
  });
});

describe('a cursor', () => {
  it('that we did not make is one clear line', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    const { cursor } = await readJournal({ redis: world.redis, streams });
    const forge = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forged: unknown[] = [
      '',
      'x',
      cursor.slice(1),
      `${cursor}A`,
      cursor.toUpperCase(),
      forge([1, ['', '18446744073709551616-0', 0, 0]]),
      forge([1, ['', '5-0', -1, 0]]),
      forge([1, ['', '5-0', 0.5, 0]]),
      forge([1, ['', '5-0', 0, 0], ['', '5-0', 0, 0]]),
      forge([2]),
      forge({}),
      7,
      'A'.repeat(300_000),
    ];
    for (const after of forged) {
      const error = await rejection(readJournal({ redis: world.redis, streams, after: after as string }));
      expect(error).toMatchObject({ code: 'LK_INPUT' });
      expect(error.message).toMatch(/^after: expected a cursor as the journal gave it .*, got [^\n]*$/);
    }
  });

  it('is good for a journal that has more streams by now, or fewer', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    for (const [n, { key }] of streams.entries()) await write(world.redis, key, `${T0 + n}-0`, [String(n)]);
    const few = await readJournal({ redis: world.redis, streams: streams.slice(0, 2) });
    const more = await readJournal({ redis: world.redis, streams, after: few.cursor });
    expect(told(more.entries)).toEqual(['2']);
    const one = await readJournal({ redis: world.redis, streams: streams.slice(0, 1), after: more.cursor });
    expect(one.entries).toEqual([]);
  });
});

describe('who follows', () => {
  function follow(world: World, limit?: number) {
    const stop = new AbortController();
    const lines: JournalLine[] = [];
    const streams = journalStreams(world.keys, TAGS);
    const done = (async () => {
      for await (const { entries } of followJournal({ redis: world.redis, streams, limit }, stop.signal)) {
        lines.push(...entries);
      }
    })();
    const end = async () => {
      stop.abort();
      await done;
    };
    world.defer(end);
    return { lines, streams, end };
  }

  it('sees what is there, then what comes, of every stream and once', async ({ world }) => {
    const keys = journalStreams(world.keys, TAGS).map(({ key }) => key);
    await writeBatch(
      world.redis,
      keys[0] as string,
      'pod-1',
      ['0', '1', '2'].map((job) => stalled(job)),
    );
    const { lines, end } = follow(world, 2);
    await vi.waitFor(() => expect(lines).toHaveLength(3));
    for (let n = 3; n < 30; n++) await writeBatch(world.redis, keys[n % 3] as string, 'pod-1', [stalled(String(n))]);
    await vi.waitFor(() => expect(lines).toHaveLength(30));
    const seen = told(lines).map(Number);
    const inOrder = (numbers: number[]) => numbers.toSorted((one, other) => one - other);
    expect(inOrder(seen)).toEqual(Array.from({ length: 30 }, (_, n) => n));
    // What was written to several streams within one ms has no order among them.
    for (const stream of [0, 1, 2]) {
      const own = seen.filter((n) => n >= 3 && n % 3 === stream);
      expect(own).toEqual(inOrder(own));
    }
    await end();
  });

  it('goes on when all keys are gone, and says so', async ({ world }) => {
    const { lines, streams } = follow(world);
    await writeBatch(world.redis, keyOf(streams, 0), 'pod-1', [stalled('before')]);
    await vi.waitFor(() => expect(told(lines)).toEqual(['before']));
    await world.redis.del(...streams.map(({ key }) => key));
    await writeBatch(world.redis, keyOf(streams, 0), 'pod-1', [stalled('after')]);
    await vi.waitFor(() => expect(told(lines)).toEqual(['before', 'gap lost null', 'after']));
  });

  it('goes on when its connection is cut', async ({ world }) => {
    const { lines, streams } = follow(world);
    await writeBatch(world.redis, keyOf(streams, 0), 'pod-1', [stalled('before')]);
    await vi.waitFor(() => expect(told(lines)).toEqual(['before']));
    const clients = String(await world.redis.client('LIST'));
    for (const line of clients.split('\n').filter((text) => text.includes('cmd=xread'))) {
      await world.redis.client('KILL', 'ID', /id=(\d+)/.exec(line)?.[1] ?? '');
    }
    await writeBatch(world.redis, keyOf(streams, 1), 'pod-1', [stalled('after')]);
    await vi.waitFor(() => expect(told(lines)).toEqual(['before', 'after']), { timeout: 5_000 });
  });
});

describe('100,000 entries', () => {
  async function readCounting(world: World, onPage: (lines: JournalLine[], count: number) => void): Promise<number> {
    const streams = journalStreams(world.keys, TAGS);
    let count = 0;
    let after: string | undefined;
    for (;;) {
      const page = await readJournal({ redis: world.redis, streams, after });
      count += page.entries.length;
      onPage(page.entries, count);
      if (!page.hasMore) return count;
      after = page.cursor;
      expect(after.length, 'a cursor does not grow').toBeLessThan(400);
    }
  }

  it('are read in memory that is as flat at the end as at their tenth; held, it is not (twin)', async ({ world }) => {
    const streams = journalStreams(world.keys, TAGS);
    const reason = 'x'.repeat(100);
    for (let n = 0; n < 1_000; n++) {
      const entry = (m: number): Told => ({
        what: 'attempt.lost',
        age: 0,
        data: { lane: 'a', job: `${n}.${m}`, reason },
      });
      const told = Array.from({ length: 100 }, (_, m) => entry(m));
      await writeBatch(world.redis, keyOf(streams, n % 3), 'pod-1', told);
    }
    const heaps: number[] = [];
    const read = await readCounting(world, (_, count) => {
      if (count % 10_000 === 0) heaps.push(heapNow());
    });
    expect(read).toBe(100_000);
    const grown = Math.max(...heaps) - (heaps[0] as number);

    const held: JournalLine[] = [];
    const before = heapNow();
    await readCounting(world, (lines) => {
      if (held.length < 10_000) held.push(...lines);
    });
    const tenth = heapNow() - before;
    expect(tenth, `what is held is seen: ${held.length}`).toBeGreaterThan(1_000_000);
    expect(grown, `a tenth is ${tenth}`).toBeLessThan(tenth / 2);
  });
});
