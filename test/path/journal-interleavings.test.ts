// The journal's reader against a model: writers of several tags, trims, pages of any size, and readers that start again from any cursor
// they ever had, in any order. No entry twice, none missing, by time, and a gap exactly where something was trimmed unseen. What fails
// prints its seed.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { type JournalPage, type JournalQuery, journalStreams, readJournal } from '../../src/path/journal-reader.ts';
import { type Told, toBatch } from '../../src/store/journal-stream.ts';
import { it, type World } from '../support/world.ts';

const TAGS = ['forum', 'mail', 'shop'];
const STREAMS = TAGS.length + 1;
const T0 = 1_700_000_000_000;

type Step =
  | { do: 'write'; stream: number; afterMs: number; count: number; dropped: number }
  | { do: 'trim'; stream: number; keep: number }
  | { do: 'read'; limit: number }
  | { do: 'restart'; from: number };

const write = fc.record({
  do: fc.constant('write' as const),
  stream: fc.nat(STREAMS - 1),
  afterMs: fc.nat(2),
  count: fc.integer({ min: 1, max: 4 }),
  dropped: fc.constantFrom(0, 0, 0, 7),
});
const trim = fc.record({ do: fc.constant('trim' as const), stream: fc.nat(STREAMS - 1), keep: fc.nat(4) });
const read = fc.record({ do: fc.constant('read' as const), limit: fc.integer({ min: 1, max: 9 }) });
const restart = fc.record({ do: fc.constant('restart' as const), from: fc.nat(50) });
const steps = fc.array(
  fc.oneof(
    { arbitrary: write, weight: 6 },
    { arbitrary: trim, weight: 1 },
    { arbitrary: read, weight: 3 },
    { arbitrary: restart, weight: 1 },
  ),
  { minLength: 5, maxLength: 40 },
);

/** Up to where a reader has read a stream: batches, and lines of the next. */
interface Stand {
  batch: number;
  line: number;
}
interface Mark {
  cursor: string | undefined;
  stands: Stand[];
  /** The last write that was told. */
  order: number;
}

/** What was written, in lines, and how much of it was trimmed. */
interface Written {
  batches: { order: number; lines: string[] }[];
  trimmed: number;
}

const nameOf = (line: JournalPage['entries'][number]) =>
  line.what === 'journal.gap' ? `gap ${line.why} ${line.lost}` : String(line.job);

/** Holds a page against the model, and moves the mark on. */
function check(page: JournalPage, written: readonly Written[], mark: Mark): void {
  for (const entry of page.entries) {
    const index = entry.tag === null ? TAGS.length : TAGS.indexOf(entry.tag);
    const { batches, trimmed } = written[index] as Written;
    const stand = mark.stands[index] as Stand;
    const unseen = trimmed - stand.batch;
    if (unseen > 0) {
      expect(nameOf(entry), 'what was trimmed unseen').toBe(`gap retention ${unseen}`);
      mark.stands[index] = { batch: trimmed, line: 0 };
      continue;
    }
    const { order, lines } = batches[stand.batch] as Written['batches'][number];
    expect(nameOf(entry)).toBe(lines[stand.line]);
    expect(order, 'by time').toBeGreaterThanOrEqual(mark.order);
    mark.order = order;
    stand.line++;
    if (stand.line === lines.length) mark.stands[index] = { batch: stand.batch + 1, line: 0 };
  }
  mark.cursor = page.cursor;
  if (page.hasMore) return;
  const left = written.map(({ batches }, index) => batches.length - (mark.stands[index] as Stand).batch);
  expect(left, 'nothing is missing').toEqual(written.map(() => 0));
}

const copy = (mark: Mark): Mark => ({ ...mark, stands: mark.stands.map((stand) => ({ ...stand })) });

async function play(world: World, script: Step[], reader: (query: JournalQuery) => Promise<JournalPage>) {
  const { redis } = world;
  const streams = journalStreams(world.keys, TAGS);
  await redis.del(...streams.map(({ key }) => key));
  const written: Written[] = streams.map(() => ({ batches: [], trimmed: 0 }));
  const start: Mark = { cursor: undefined, stands: streams.map(() => ({ batch: 0, line: 0 })), order: 0 };
  const marks = [copy(start)];
  let mark = start;
  let at = T0;
  let order = 0;

  async function turn(limit: number): Promise<boolean> {
    const page = await reader({ redis, streams, after: mark.cursor, limit });
    check(page, written, mark);
    marks.push(copy(mark));
    return page.hasMore;
  }

  for (const step of script) {
    if (step.do === 'write') {
      const { stream, count, dropped } = step;
      at += step.afterMs;
      order++;
      const jobs = Array.from({ length: count }, (_, n) => `${order}.${n}`);
      const fields = ['who', `pod-${stream}`, 'batch', toBatch(jobs.map((job, n) => toTold(job, (order + n) % 3)))];
      const gap = dropped > 0 ? ['dropped', String(dropped)] : [];
      await redis.xadd((streams[stream] as { key: string }).key, `${at}-${order}`, ...fields, ...gap);
      const lines = dropped > 0 ? [`gap dropped ${dropped}`, ...jobs] : jobs;
      written[stream]?.batches.push({ order, lines });
    } else if (step.do === 'trim') {
      const { batches, trimmed } = written[step.stream] as Written;
      await redis.xtrim((streams[step.stream] as { key: string }).key, 'MAXLEN', step.keep);
      (written[step.stream] as Written).trimmed = Math.max(trimmed, batches.length - step.keep);
    } else if (step.do === 'read') await turn(step.limit);
    else mark = copy(marks[step.from % marks.length] as Mark);
  }
  while (await turn(5));
}

describe('whatever is written, trimmed and read, in whatever order', () => {
  const RUNS = { numRuns: 150 };

  it('each entry is told once and by time, and each gap exactly', async ({ world }) => {
    await fc.assert(
      fc.asyncProperty(steps, (script) => play(world, script, readJournal)),
      RUNS,
    );
  });

  it.for([
    ['that keeps a gap to itself', (page: JournalPage) => page.entries.filter((line) => line.what !== 'journal.gap')],
    ['that skips an entry now and then', (page: JournalPage) => page.entries.slice(0, 4)],
  ] as const)('a reader %s is found out (twin)', async ([, spoil], { world }) => {
    const spoiled = async (query: JournalQuery) => {
      const page = await readJournal(query);
      return { ...page, entries: spoil(page) };
    };
    const found = fc.assert(
      fc.asyncProperty(steps, (script) => play(world, script, spoiled)),
      { ...RUNS, endOnFailure: true },
    );
    await expect(found).rejects.toThrow(/seed/);
  });
});

/** Jobs that are done lie together in one element, as long as they are of one lane. */
function toTold(job: string, kind: number): Told {
  if (kind === 0) return { what: 'job.stalled', age: 0, data: { lane: 'a', job } };
  const lane = kind === 1 ? 'a' : 'b';
  return { what: 'attempt.finished', age: 0, data: { lane, job, attempt: 1, outcome: 'done', durationMs: 2.5 } };
}
