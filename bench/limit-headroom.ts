// What does a limit cost that is never reached? No-op jobs, one worker process, as in `processing`: the same with limits that
// have headroom, as a ratio of raw BullMQ's throughput.

import type { Bench } from './bench.ts';
import { interleave, ratioWithSpread, withSpread } from './measure.ts';
import { type Figures, type Measured, measure } from './processing.ts';

const limits = (...all: object[]): Measured => ({ kind: 'ours', env: { BENCH_LIMITS: JSON.stringify(all) } });
const CONCURRENT = { concurrent: 10_000 };
const COUNT = { count: 1_000_000, per: '1s' };

const VARIANTS = {
  raw: { kind: 'raw' },
  'ours, no limit': { kind: 'ours' },
  'ours, concurrent': limits(CONCURRENT),
  'ours, count': limits(COUNT),
  'ours, both': limits(CONCURRENT, COUNT),
} satisfies Record<string, Measured>;

type Variant = keyof typeof VARIANTS;

export const limitHeadroom: Bench = {
  question:
    'jobs a second with a limit that is never reached (no-op jobs, one worker process, concurrency 100, preloaded)',
  rounds: 9,
  async run({ store, rounds, isQuick, say }) {
    const jobs = isQuick ? 15_000 : 60_000;
    const variants = Object.keys(VARIANTS) as Variant[];
    const results = await interleave(variants, rounds, async (variant, round) => {
      const figures = await measure(store, VARIANTS[variant], jobs);
      say(`headroom ${round + 1}/${rounds} ${variant}: ${Math.round(figures.steady)} jobs/s`);
      return figures;
    });
    const of = (variant: Variant, figure: keyof Figures) => results[variant].map((figures) => figures[figure]);
    return {
      head: ['', 'jobs/s', 'of raw', 'of ours without', 'worker CPU µs/job', 'Redis CPU µs/job'],
      rows: variants.map((variant) => [
        variant,
        withSpread(of(variant, 'steady')),
        ratioWithSpread(of(variant, 'steady'), of('raw', 'steady')),
        ratioWithSpread(of(variant, 'steady'), of('ours, no limit', 'steady')),
        withSpread(of(variant, 'workerCpuUs'), 1),
        withSpread(of(variant, 'redisCpuUs'), 1),
      ]),
      notes: [
        `${jobs.toLocaleString('en-US')} jobs, ${rounds} rounds; otherwise as in processing. Jobs send nothing, so their permits are handed on.`,
        `Limits: ${JSON.stringify(CONCURRENT)}, ${JSON.stringify(COUNT)}, or both; driver 'scripts'.`,
      ],
    };
  },
};
