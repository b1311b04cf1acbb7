// The journal: what happened, in order, in small batches; what was lost on the way is counted, and what a person ordered is awaited.

import { afterEach, describe, expect, vi } from 'vitest';
import { createJournal, type Journal } from '../../src/engine/journal.ts';
import type { Redis } from '../../src/store/connect.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub, EVENT_CATALOGUE, type EventName } from '../../src/words/events.ts';
import { createKeys } from '../../src/words/keys.ts';
import { rejection } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

afterEach(() => void vi.useRealTimers());

const tagOf = (lane: string) => (lane === 'nowhere' ? undefined : `of-${lane}`);
const stalled = (lane: string, job: string) => ({ lane, job });

function journalOf(world: World): Journal {
  const journal = createJournal({ redis: world.redis, keys: world.keys, who: 'pod-1', tagOf, clock: systemClock });
  world.defer(() => journal.stop());
  return journal;
}

async function entriesOf(redis: Redis, stream: string) {
  const batches = (await redis.xrange(stream, '-', '+')) as [string, string[]][];
  return { batches: batches.length, entries: batches.flatMap(([id, fields]) => readBatch(id, fields)) };
}

describe('what happened', () => {
  it('is told as it was, also where jobs that are done lie together in few bytes', async ({ world }) => {
    const journal = journalOf(world);
    const events = createEventHub();
    journal.subscribe(events);
    const done = (n: number, more: object = {}) => {
      const ended = { lane: 'even', job: `"j${n}`, attempt: n, outcome: 'done', durationMs: n / 10, ...more } as const;
      events.emit('attempt.finished', ended);
      return { what: 'attempt.finished', ...ended };
    };
    const said: object[] = [done(1), done(2), done(3, { agent: 'a' }), done(4)];
    events.emit('job.stalled', stalled('even', 'j5'));
    said.push({ what: 'job.stalled', ...stalled('even', 'j5') });
    for (let n = 6; n < 300; n++) said.push(done(n));
    await journal.stop();
    const stream = world.keys.journal('of-even');
    expect((await entriesOf(world.redis, stream)).entries).toMatchObject(said);
    const [[, fields]] = (await world.redis.xrange(stream, '-', '+')) as [[string, string[]]];
    expect(fields.join().length / 300).toBeLessThan(30);
  });

  it('is written to the stream of its tag, in order, many to one entry', async ({ world }) => {
    const journal = journalOf(world);
    const events = createEventHub();
    journal.subscribe(events);
    for (let n = 0; n < 100; n++) events.emit('job.stalled', stalled(n % 2 ? 'odd' : 'even', `j${n}`));
    events.emit('job.stalled', stalled('nowhere', 'j'));
    await journal.stop();
    for (const [tag, first] of [
      ['of-even', 0],
      ['of-odd', 1],
    ] as const) {
      const { batches, entries } = await entriesOf(world.redis, world.keys.journal(tag));
      expect(batches).toBe(1);
      expect(entries.map(({ job }) => job)).toEqual(Array.from({ length: 50 }, (_, n) => `j${2 * n + first}`));
      expect(entries[0]).toMatchObject({
        what: 'job.stalled',
        who: 'pod-1',
        age: expect.any(Number),
        at: expect.any(Number),
      });
    }
    const fleet = await entriesOf(world.redis, world.keys.fleetJournal());
    expect(fleet.entries).toMatchObject([{ what: 'job.stalled', lane: 'nowhere' }]);
  });

  it('is kept when the catalogue says so, and only then', async ({ world }) => {
    const journal = journalOf(world);
    const events = createEventHub();
    journal.subscribe(events);
    const names = Object.keys(EVENT_CATALOGUE) as EventName[];
    for (const name of names) events.emit(name, {} as never);
    await journal.stop();
    const { entries } = await entriesOf(world.redis, world.keys.fleetJournal());
    expect(entries.map(({ what }) => what)).toEqual(names.filter((name) => EVENT_CATALOGUE[name].journal));
  });

  it('has the instant at which it happened, not the one at which it was written', () => {
    const entries = [
      { what: 'job.stalled', who: 'p', age: 15 },
      { what: 'job.stalled', who: 'p', age: 0 },
    ];
    expect(readBatch('1900000000000-3', ['batch', JSON.stringify(entries)]).map(({ at }) => at)).toEqual([
      1_899_999_999_985, 1_900_000_000_000,
    ]);
    expect(readBatch('5-0', ['dropped', '5'])).toEqual([]);
  });
});

describe('what a person ordered', () => {
  it('stands when the order is answered', async ({ world }) => {
    await journalOf(world).append('job.cancelled', {
      lane: 'a',
      job: 'j',
      reason: 'wrong batch',
      before: 'waiting',
      after: 'gone',
    });
    const { entries } = await entriesOf(world.redis, world.keys.journal('of-a'));
    expect(entries).toMatchObject([
      { what: 'job.cancelled', who: 'pod-1', reason: 'wrong batch', before: 'waiting', age: 0 },
    ]);
  });

  it('is refused when it cannot be written', async () => {
    const { journal } = faked(() => Promise.reject(new Error('OOM')));
    expect(await rejection(journal.append('job.stalled', stalled('a', 'j')))).toMatchObject({ message: 'OOM' });
  });
});

/** A journal over a Redis that answers as it is told, on a clock that we move. */
function faked(xadd: (stream: string) => Promise<string>) {
  vi.useFakeTimers();
  const written: { stream: string; jobs: unknown[]; dropped: number }[] = [];
  const redis = {
    xadd: async (stream: string, ...rest: string[]) => {
      await xadd(stream);
      const fields = rest.slice(rest.indexOf('*') + 1);
      const dropped = fields.indexOf('dropped');
      written.push({
        stream,
        jobs: readBatch('0-0', fields).map(({ job }) => job),
        dropped: dropped < 0 ? 0 : Number(fields[dropped + 1]),
      });
      return '0-0';
    },
  } as unknown as Redis;
  const journal = createJournal({ redis, keys: createKeys('lk'), who: 'p', tagOf, clock: systemClock });
  const events = createEventHub();
  journal.subscribe(events);
  const tell = (lane: string, job: string) => events.emit('job.stalled', stalled(lane, job));
  return { journal, written, tell };
}

describe('a gap', () => {
  it('is named in the next batch that gets through, once', async () => {
    let isFull = true;
    const { journal, written, tell } = faked(() => (isFull ? Promise.reject(new Error('OOM')) : Promise.resolve('')));
    for (const job of ['a', 'b', 'c']) tell('x', job);
    await vi.advanceTimersByTimeAsync(50);
    tell('x', 'd');
    await vi.advanceTimersByTimeAsync(50);
    expect(written).toEqual([]);
    isFull = false;
    tell('x', 'e');
    await vi.advanceTimersByTimeAsync(50);
    tell('x', 'f');
    await vi.advanceTimersByTimeAsync(50);
    await journal.stop();
    expect(written.map(({ jobs, dropped }) => [jobs, dropped])).toEqual([
      [['e'], 4],
      [['f'], 0],
    ]);
  });

  it('counts what was lost, not what got through beside it', async () => {
    let isFull = true;
    const { journal, written, tell } = faked((stream) =>
      isFull && stream.includes('of-full') ? Promise.reject(new Error('OOM')) : Promise.resolve(''),
    );
    tell('full', 'lost');
    tell('fine', 'kept');
    await vi.advanceTimersByTimeAsync(50);
    isFull = false;
    tell('full', 'after');
    tell('fine', 'after');
    await vi.advanceTimersByTimeAsync(50);
    await journal.stop();
    const named = written.reduce((sum, { dropped }) => sum + dropped, 0);
    expect(written.flatMap(({ jobs }) => jobs)).toEqual(['kept', 'after', 'after']);
    expect(named, 'one entry was lost').toBe(1);
  });

  it('is named too when the memory for a Redis that is away is full', async () => {
    let back: (() => void) | undefined;
    const away = new Promise<string>((resolve) => {
      back = () => resolve('');
    });
    const { journal, written, tell } = faked(() => away);
    tell('x', 'first');
    await vi.advanceTimersByTimeAsync(50);
    for (let n = 0; n < 12_000; n++) tell('x', String(n));
    back?.();
    await vi.advanceTimersByTimeAsync(100);
    await journal.stop();
    const kept = written.reduce((sum, { jobs }) => sum + jobs.length, 0);
    const named = written.reduce((sum, { dropped }) => sum + dropped, 0);
    expect(kept + named).toBe(12_001);
    expect(named).toBeGreaterThan(0);
    expect(written.at(-1)?.jobs.at(-1), 'the oldest go first').toBe('11999');
  });
});
