// How many no-op jobs a second does one worker process get through? The clock is the queue's own record: each job's end, as
// its worker saw it, is the score it is kept under.

import type { Bench } from './bench.ts';
import { interleave, ratioWithSpread, withSpread } from './measure.ts';
import { preload } from './preload.ts';
import { pause, type Store } from './store.ts';
import { bullPrefix, startWorker, type WorkerOptions } from './worker-process.ts';

/** A lane trims its done jobs; raw BullMQ keeps them for ever unless told, so it is measured both ways. */
const KEEP = JSON.stringify({ age: 24 * 3_600, count: 100_000 });

const VARIANTS = {
  raw: { kind: 'raw' },
  'raw, trimming': { kind: 'raw', env: { BENCH_KEEP: KEEP } },
  ours: { kind: 'ours' },
  'ours, one step': { kind: 'ours', mode: 'step' },
} as const;

type Variant = keyof typeof VARIANTS;

export interface Figures {
  /** Jobs a second after the first third, which warms up the code of either. */
  steady: number;
  /** Jobs a second from the first start to the last settle. */
  whole: number;
  workerCpuUs: number;
  redisCpuUs: number;
}

export const processing: Bench = {
  // Many short ones: what a neighbour takes from this machine for five seconds then costs one round and not the median.
  rounds: 21,
  question: 'jobs a second through one worker process (no-op jobs, concurrency 100, preloaded)',
  async run({ store, rounds, isQuick, say }) {
    const jobs = isQuick ? 15_000 : 60_000;
    const variants = Object.keys(VARIANTS) as Variant[];
    const results = await interleave(variants, rounds, async (variant, round) => {
      const figures = await measure(store, VARIANTS[variant], jobs);
      say(`processing ${round + 1}/${rounds} ${variant}: ${Math.round(figures.steady)} jobs/s`);
      return figures;
    });
    const of = (variant: Variant, figure: keyof Figures) => results[variant].map((figures) => figures[figure]);
    return {
      head: [
        '',
        'jobs/s',
        'of raw',
        'of raw, trimming',
        'with warm-up, of raw',
        'worker CPU µs/job',
        'Redis CPU µs/job',
      ],
      rows: variants.map((variant) => [
        variant,
        withSpread(of(variant, 'steady')),
        ratioWithSpread(of(variant, 'steady'), of('raw', 'steady')),
        ratioWithSpread(of(variant, 'steady'), of('raw, trimming', 'steady')),
        ratioWithSpread(of(variant, 'whole'), of('raw', 'whole')),
        withSpread(of(variant, 'workerCpuUs'), 1),
        withSpread(of(variant, 'redisCpuUs'), 1),
      ]),
      notes: [
        `${jobs.toLocaleString('en-US')} jobs preloaded in bulk, ${rounds} rounds, a new worker process each; the first third is not counted in "jobs/s".`,
        '"ours" is the built `lanekeeper worker` at its defaults: schema, journal, metrics, and one log line per job (to /dev/null).',
      ],
    };
  },
};

export interface Measured extends Omit<WorkerOptions, 'prefix'> {
  kind: 'raw' | 'ours';
}

/** `given`: a prefix that is fresh already. */
export async function measure(
  store: Store,
  { kind, ...options }: Measured,
  jobs: number,
  given?: string,
): Promise<Figures> {
  const prefix = given ?? (await store.fresh());
  await preload(kind, store, prefix, jobs);
  const queue = `${bullPrefix(kind, prefix)}:noop`;
  const worker = await startWorker(kind, store, { prefix, ...options });
  const used = async () => ({ workerMs: worker.cpuMs() ?? Number.NaN, redisS: await store.cpuSeconds() });
  const doneReaches = async (least: number) => {
    for (;;) {
      const done = await store.redis.zcard(`${queue}:completed`);
      if (done >= least) return done;
      worker.expectAlive();
      await pause(50);
    }
  };
  try {
    const warm = Math.floor(jobs / 3);
    const before = await doneReaches(warm);
    const cpu = await used();
    const counted = (await doneReaches(jobs)) - before;
    const { workerMs, redisS } = await used();
    const [warmAt, lastAt] = [await endOf(store, queue, warm), await endOf(store, queue, -1)];
    return {
      steady: ((jobs - warm) * 1_000) / (lastAt - warmAt),
      whole: (jobs * 1_000) / (lastAt - (await firstStart(store, queue))),
      workerCpuUs: ((workerMs - cpu.workerMs) * 1_000) / counted,
      redisCpuUs: ((redisS - cpu.redisS) * 1e6) / counted,
    };
  } finally {
    await worker.stop();
  }
}

async function endOf(store: Store, queue: string, place: number): Promise<number> {
  const [, score] = await store.redis.zrange(`${queue}:completed`, String(place), String(place), 'WITHSCORES');
  return Number(score);
}

async function firstStart(store: Store, queue: string): Promise<number> {
  const ids = await store.redis.zrange(`${queue}:completed`, '0', '199');
  const starts = await Promise.all(ids.map((id) => store.redis.hget(`${queue}:${id}`, 'processedOn')));
  return Math.min(...starts.map(Number));
}
