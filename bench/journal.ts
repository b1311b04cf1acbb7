// What does the journal cost the open lane, and does whoever reads it need more memory the longer it is? The cost is a ratio of
// throughputs, with and without; the memory is the heap after a forced collection at a tenth and at the end.

import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ROOT } from '../scripts/prepare.js';
import { followJournal, type JournalStream, journalStreams, readJournal } from '../src/path/journal-reader.ts';
import { toBatchText, writeBatch } from '../src/store/journal-stream.ts';
import { createKeys } from '../src/words/keys.ts';
import type { Bench } from './bench.ts';
import { interleave, ratioWithSpread, withSpread } from './measure.ts';
import { measure } from './processing.ts';
import type { Store } from './store.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const VARIANTS = ['without', 'with'] as const;
const WITHOUT = ['--import', join(ROOT, 'bench', 'children', 'without-journal.js')];

export const journalCost: Bench = {
  question: 'throughput of the open lane with the journal, of that without it',
  rounds: 21,
  async run({ store, rounds, isQuick, say }) {
    const jobs = isQuick ? 15_000 : 60_000;
    const results = await interleave(VARIANTS, rounds, async (variant, round) => {
      const figures = await measure(store, { kind: 'ours', flags: variant === 'with' ? [] : WITHOUT }, jobs);
      say(`journal-cost ${round + 1}/${rounds} ${variant}: ${Math.round(figures.steady)} jobs/s`);
      return figures;
    });
    const of = (variant: (typeof VARIANTS)[number], figure: 'steady' | 'workerCpuUs' | 'redisCpuUs') =>
      results[variant].map((figures) => figures[figure]);
    return {
      head: ['', 'jobs/s', 'of without', 'worker CPU µs/job', 'Redis CPU µs/job'],
      rows: VARIANTS.map((variant) => [
        variant,
        withSpread(of(variant, 'steady')),
        ratioWithSpread(of(variant, 'steady'), of('without', 'steady')),
        withSpread(of(variant, 'workerCpuUs'), 1),
        withSpread(of(variant, 'redisCpuUs'), 1),
      ]),
      notes: [
        `${jobs.toLocaleString('en-US')} no-op jobs preloaded, one worker process at concurrency 100, ${rounds} rounds; the first third is not counted.`,
        'Without: the same build, its catalogue of events told by a preloaded file that the journal keeps none.',
      ],
    };
  },
};

/** As pods write them: a busy lane's outcomes, so many to a batch. */
const PER_BATCH = 100;
/** Writes in hand at once. */
const IN_HAND = 16;
const TAGS = ['forum', 'shop', 'mail'];
const MIB = 2 ** 20;

interface Reading {
  perSecond: number;
  tenth: number;
  end: number;
}

export const journalReading: Bench = {
  question: 'entries a second and heap of whoever reads the whole journal, or follows it while it is written',
  rounds: 3,
  async run({ store, rounds, isQuick, say }) {
    const count = isQuick ? 100_000 : 1_000_000;
    const ways = ['written and read', 'written and followed'] as const;
    const results = await interleave(ways, rounds, async (way, round) => {
      const figures = await (way === 'written and read' ? read(store, count) : follow(store, count));
      say(`journal-reading ${round + 1}/${rounds} ${way}: ${Math.round(figures.perSecond)} entries/s`);
      return figures;
    });
    return {
      head: ['', 'entries/s', 'heap at 10 %, MiB', 'heap at 100 %, MiB'],
      rows: ways.map((way) => [
        way,
        withSpread(results[way].map(({ perSecond }) => perSecond)),
        withSpread(
          results[way].map(({ tenth }) => tenth / MIB),
          1,
        ),
        withSpread(
          results[way].map(({ end }) => end / MIB),
          1,
        ),
      ]),
      notes: [
        `${count.toLocaleString('en-US')} entries in ${TAGS.length} streams and the fleet's, ${PER_BATCH} to a batch, ${rounds} rounds; a collection is forced before each look at the heap.`,
        'Followed: reader and writer are one process, so its entries a second are those of both.',
      ],
    };
  },
};

async function read(store: Store, count: number): Promise<Reading> {
  const streams = journalStreams(createKeys(await store.fresh()), TAGS);
  await write(store, streams, count);
  const gauge = createGauge(count);
  let after: string | undefined;
  for (;;) {
    const page = await readJournal({ redis: store.redis, streams, after });
    gauge.seen(page.entries.length);
    after = page.cursor;
    if (!page.hasMore) return gauge.end();
  }
}

async function follow(store: Store, count: number): Promise<Reading> {
  const streams = journalStreams(createKeys(await store.fresh()), TAGS);
  const gauge = createGauge(count);
  const stop = new AbortController();
  const written = write(store, streams, count);
  for await (const { entries } of followJournal({ redis: store.redis, streams }, stop.signal)) {
    if (gauge.seen(entries.length) >= count) stop.abort();
  }
  await written;
  return gauge.end();
}

async function write({ redis }: Store, streams: readonly JournalStream[], count: number): Promise<void> {
  let hand: Promise<unknown>[] = [];
  for (let n = 0; n < count; n += PER_BATCH) {
    const { key } = streams[(n / PER_BATCH) % streams.length] as JournalStream;
    const texts = Array.from({ length: PER_BATCH }, (_, m) =>
      toBatchText('attempt.finished', m % 20, {
        lane: 'publish',
        job: `jVb3d9Kq2_${(n + m).toString(36).padStart(6, '0')}`,
        attempt: 1,
        outcome: 'done',
        durationMs: m,
        agent: `a${m % 32}`,
      }),
    );
    hand.push(writeBatch(redis, key, 'bench-pod-1', texts));
    if (hand.length < IN_HAND) continue;
    await Promise.all(hand);
    hand = [];
  }
  await Promise.all(hand);
}

function createGauge(count: number) {
  const beganMs = performance.now();
  let seen = 0;
  let tenth = 0;
  let end = 0;
  return {
    /** Answers how many it is by now. */
    seen(more: number): number {
      seen += more;
      if (tenth === 0 && seen >= count / 10) tenth = heap();
      if (end === 0 && seen >= count) end = heap();
      return seen;
    },
    end(): Reading {
      if (seen !== count) throw new Error(`expected ${count} entries, got ${seen}`);
      return { perSecond: (1_000 * count) / (performance.now() - beganMs), tenth, end };
    },
  };
}

function heap(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
