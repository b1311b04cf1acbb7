// What does the journal cost the open lane, and does whoever reads it need more memory the longer it is? The cost is a ratio of
// throughputs, with and without, round by round. The memory is that of a reader in a process of its own, looked at forty times on its
// way through the journal: between the least and the most of them lies what it grew by.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../scripts/prepare.js';
import { type JournalStream, journalStreams, readJournal } from '../src/path/journal-reader.ts';
import { type Told, writeBatch } from '../src/store/journal-stream.ts';
import { createKeys } from '../src/words/keys.ts';
import type { Bench } from './bench.ts';
import { interleave, median, ratios, ratioWithSpread, withSpread } from './measure.ts';
import { measure } from './processing.ts';
import type { Store } from './store.ts';

const VARIANTS = ['without', 'with'] as const;
type Variant = (typeof VARIANTS)[number];
const WITHOUT = ['--import', join(ROOT, 'bench', 'children', 'without-journal.js')];
/** What it may cost. */
const ALLOWED = 0.05;

export const journalCost: Bench = {
  question: 'throughput of the open lane with the journal, of that without it',
  rounds: 21,
  size: { usual: 60_000, quick: 15_000, of: 'jobs' },
  async run({ store, rounds, size: jobs, say }) {
    const results = await interleave(VARIANTS, rounds, async (variant, round) => {
      const prefix = await store.fresh();
      const flags = variant === 'with' ? [] : WITHOUT;
      const figures = await measure(store, { kind: 'ours', flags }, jobs, prefix);
      await expectJournalled(store, prefix, variant === 'with' ? jobs : 0);
      say(`journal-cost ${round + 1}/${rounds} ${variant}: ${Math.round(figures.steady)} jobs/s`);
      return figures;
    });
    const of = (variant: Variant, figure: 'steady' | 'workerCpuUs' | 'redisCpuUs') =>
      results[variant].map((figures) => figures[figure]);
    const cost = 1 - median(ratios(of('with', 'steady'), of('without', 'steady')));
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
        `It costs ${(100 * cost).toFixed(1)} % of throughput, the median of ${rounds} rounds; at most ${100 * ALLOWED} % are allowed: ${cost <= ALLOWED ? 'kept' : 'NOT KEPT'}.`,
        `${jobs.toLocaleString('en-US')} no-op jobs preloaded, one worker process at concurrency 100, both variants in turn in each round; the first third is not counted.`,
        'Without: the same build, its catalogue of events told by a preloaded file that the journal keeps none. After each run the journal is read: an entry for each job, or none.',
      ],
    };
  },
};

/** A comparison with what is not there, or not off, would say nothing. */
async function expectJournalled({ redis }: Store, prefix: string, jobs: number): Promise<void> {
  const streams = journalStreams(createKeys(prefix), ['noop']);
  let found = 0;
  let after: string | undefined;
  for (let hasMore = true; hasMore; ) {
    const page = await readJournal({ redis, streams, after, limit: 5_000 });
    found += page.entries.filter(({ what }) => what === 'attempt.finished').length;
    ({ cursor: after, hasMore } = page);
  }
  if (found !== jobs) throw new Error(`expected ${jobs} attempts in the journal, got ${found}`);
}

/** As pods write them: a busy lane's outcomes, so many to a batch. */
const PER_BATCH = 100;
/** Writes in hand at once. */
const IN_HAND = 16;
const TAGS = ['forum', 'shop', 'mail'];
const MIB = 2 ** 20;
/** Code is compiled and pages are sized in the first tenth. */
const WARM = 0.1;

const WAYS = ['read', 'follow', 'keep'] as const;
type Way = (typeof WAYS)[number];
const SAID: Record<Way, string> = {
  read: 'written, then read',
  follow: 'followed while written',
  keep: 'read and kept (a tenth as many)',
};

interface Reading {
  perSecond: number;
  looks: { heap: number; rss: number }[];
}

export const journalReading: Bench = {
  question: 'entries a second and memory of whoever reads the whole journal, or follows it while it is written',
  rounds: 3,
  size: { usual: 1_000_000, quick: 100_000, of: 'entries' },
  async run({ store, rounds, size, say }) {
    const results = await interleave(WAYS, rounds, async (way, round) => {
      const found = await readIn(store, way, way === 'keep' ? size / 10 : size);
      const [heap, rss] = [spanOf(found, 'heap'), spanOf(found, 'rss')];
      say(
        `journal-reading ${round + 1}/${rounds} ${SAID[way]}: ${Math.round(found.perSecond)} entries/s, heap ${heap.map(toMib).join('-')} MiB, RSS ${rss.map(toMib).join('-')} MiB`,
      );
      return found;
    });
    const column = (way: Way, figure: 'heap' | 'rss', of: (span: readonly [number, number]) => number) =>
      withSpread(
        results[way].map((found) => of(spanOf(found, figure)) / MIB),
        1,
      );
    return {
      head: ['', 'entries/s', 'heap at most, MiB', 'heap, most - least', 'RSS at most, MiB', 'RSS, most - least'],
      rows: WAYS.map((way) => [
        SAID[way],
        withSpread(results[way].map(({ perSecond }) => perSecond)),
        ...(['heap', 'rss'] as const).flatMap((figure) => [
          column(way, figure, ([, most]) => most),
          column(way, figure, ([least, most]) => most - least),
        ]),
      ]),
      notes: [
        `${size.toLocaleString('en-US')} entries in ${TAGS.length} streams and the fleet's, ${PER_BATCH} to a batch, ${rounds} rounds; the reader is a process of its own, which checks that each entry comes once and in order.`,
        `Forty looks at its memory, two forced collections before each; the first tenth is not counted. RSS keeps what a process once needed, so the heap is the figure to judge flatness by. Kept: what a reader that holds the lines would need, for a tenth of them.`,
        'Followed: the writer is the bench, on the same two cores, so its entries a second are those of both.',
      ],
    };
  },
};

const toMib = (bytes: number) => (bytes / MIB).toFixed(1);

function spanOf({ looks }: Reading, figure: 'heap' | 'rss'): [least: number, most: number] {
  const counted = looks.slice(Math.floor(looks.length * WARM)).map((look) => look[figure]);
  return [Math.min(...counted), Math.max(...counted)];
}

async function readIn(store: Store, way: Way, count: number): Promise<Reading> {
  const prefix = await store.fresh();
  const streams = journalStreams(createKeys(prefix), TAGS);
  if (way !== 'follow') await write(store, streams, count);
  const child = fork(join(ROOT, 'bench', 'children', 'journal-reader.js'), [way, String(count), TAGS.join()], {
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_OPTIONS: '', REDIS_URL: store.url, LANEKEEPER_PREFIX: prefix },
  });
  const told = async () => {
    const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the reader ended with ${code}`)));
    const [message] = await Promise.race([once(child, 'message'), failed]);
    return message;
  };
  try {
    await told();
    const reading = told() as Promise<Reading>;
    if (way === 'follow') await Promise.all([reading, write(store, streams, count)]);
    return await reading;
  } finally {
    child.kill('SIGKILL');
  }
}

async function write({ redis }: Store, streams: readonly JournalStream[], count: number): Promise<void> {
  let hand: Promise<unknown>[] = [];
  for (let n = 0; n < count; n += PER_BATCH) {
    const { key } = streams[(n / PER_BATCH) % streams.length] as JournalStream;
    const told = Array.from({ length: PER_BATCH }, (_, m): Told => {
      const job = `jVb3d9Kq2_${(n + m).toString(36).padStart(6, '0')}`;
      const ended = { lane: 'publish', job, attempt: n + m, outcome: 'done', durationMs: m, agent: `a${m % 32}` };
      return { what: 'attempt.finished', age: m % 20, data: ended };
    });
    hand.push(writeBatch(redis, key, 'bench-pod-1', told));
    if (hand.length < IN_HAND) continue;
    await Promise.all(hand);
    hand = [];
  }
  await Promise.all(hand);
}
