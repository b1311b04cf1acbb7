// How fast do jobs get in? Three shapes, because they cost different things: a round trip each, the CPU of the producer, and
// the CPU of Redis. Nobody works meanwhile.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../scripts/prepare.js';
import type { Bench } from './bench.ts';
import { interleave, ratioWithSpread, withSpread } from './measure.ts';
import type { Store } from './store.ts';
import { bullPrefix } from './worker-process.ts';

/** Jobs per round: about a second of each. */
const SHAPES = { 'one by one': 6_000, 'in flight': 20_000, bulk: 20_000 } as const;
type Shape = keyof typeof SHAPES;
/** A producer lives long. V8 is busy compiling for its first 5,000 adds, and the more code there is the longer. */
const WARM = { 'one by one': 8_000, 'in flight': 20_000, bulk: 20_000 } as const;

/** A key for each job; or a lane that compares payloads. None is said twice here: what is measured is the looking. */
const VARIANTS = ['raw', 'ours', 'ours, keyed', 'ours, by content'] as const;
type Variant = (typeof VARIANTS)[number];

interface Figures {
  perSecond: number;
  cpuUs: number;
  redisCpuUs: number;
}

export const adding: Bench = {
  rounds: 11,
  question: 'jobs a second that one producer adds: awaited one by one, 100 in flight, in bulk of 1,000',
  async run({ store, rounds, isQuick, say }) {
    const rows: string[][] = [];
    for (const shape of Object.keys(SHAPES) as Shape[]) {
      const count = isQuick ? SHAPES[shape] / 4 : SHAPES[shape];
      const results = await interleave(VARIANTS, rounds, async (variant, round) => {
        const figures = await measure(store, variant, shape, count, isQuick ? WARM[shape] / 4 : WARM[shape]);
        say(`adding ${shape} ${round + 1}/${rounds} ${variant}: ${Math.round(figures.perSecond)} jobs/s`);
        return figures;
      });
      const of = (variant: Variant, figure: keyof Figures) => results[variant].map((figures) => figures[figure]);
      for (const variant of VARIANTS) {
        rows.push([
          `${variant}, ${shape}`,
          withSpread(of(variant, 'perSecond')),
          ratioWithSpread(of(variant, 'perSecond'), of('raw', 'perSecond')),
          withSpread(of(variant, 'cpuUs'), 1),
          withSpread(of(variant, 'redisCpuUs'), 1),
        ]);
      }
    }
    return {
      head: ['', 'jobs/s', 'of raw', 'producer CPU µs/job', 'Redis CPU µs/job'],
      rows,
      notes: [
        `${rounds} rounds, a new producer process each, which adds 8,000 (one by one) or 20,000 first, untimed.`,
        'Raw: `Queue.add` and `addBulk` with attempts and backoff. Ours: `producer.add` and `addMany`, which check each payload and fix its id first.',
      ],
    };
  },
};

async function measure(store: Store, variant: Variant, shape: Shape, count: number, warm: number): Promise<Figures> {
  const prefix = await store.fresh();
  const child = fork(join(ROOT, 'bench', 'children', 'producer.js'), [variant, shape, `${count}`, `${warm}`], {
    execArgv: [],
    env: { ...process.env, NODE_OPTIONS: '', REDIS_URL: store.url, BENCH_PREFIX: prefix },
  });
  const died = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the producer ended with ${code}`)));
  const answer = async () => (await Promise.race([once(child, 'message'), died]))[0];
  await answer(); // warm
  const redisBefore = await store.cpuSeconds();
  child.send('go');
  const { ms, cpuMs } = (await answer()) as { ms: number; cpuMs: number };
  const redisCpuUs = (((await store.cpuSeconds()) - redisBefore) * 1e6) / count;
  await died.catch(() => {});
  const added = await store.redis.llen(`${bullPrefix(variant === 'raw' ? 'raw' : 'ours', prefix)}:noop:wait`);
  if (added < count)
    throw new Error(`${variant}, ${shape}: expected ${count} jobs or more in the queue, found ${added}`);
  return { perSecond: (count * 1_000) / ms, cpuUs: (cpuMs * 1_000) / count, redisCpuUs };
}
