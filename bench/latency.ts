// How long from `add` to the start of the handler, on an idle lane? Producer and worker are two processes, as in real life;
// both read the monotonic clock, which is one for all processes of a machine, so no clock is compared with another.

import { once } from 'node:events';
import { Queue } from 'bullmq';
import { createProducer } from 'lanekeeper';
import type { Bench } from './bench.ts';
import { median, quantile, ratioWithSpread, withSpread } from './measure.ts';
import { noop, payload, RAW_OPTS } from './preload.ts';
import { pause, type Store } from './store.ts';
import { startWorker } from './worker-process.ts';

/** Long enough for the last settle to be answered and its worker to block again; shorter would measure a busy lane. */
const IDLE_MS = 8;
const WARM = 200;

export const latency: Bench = {
  question: 'ms from add to handler start on an idle lane',
  rounds: 5,
  async run({ store, rounds, isQuick, say }) {
    const samples = isQuick ? 300 : 1_000;
    const all = { raw: [] as number[][], ours: [] as number[][] };
    for (let round = 0; round < rounds; round++) {
      const { raw, ours } = await measure(store, samples);
      all.raw.push(raw);
      all.ours.push(ours);
      say(
        `latency ${round + 1}/${rounds}: p99 raw ${quantile(raw, 0.99).toFixed(2)}, ours ${quantile(ours, 0.99).toFixed(2)} ms`,
      );
    }
    const p50 = (variant: 'raw' | 'ours') => all[variant].map(median);
    const p99 = (variant: 'raw' | 'ours') => all[variant].map((values) => quantile(values, 0.99));
    return {
      head: ['', 'p50 ms', 'p50 of raw', 'p99 ms', 'p99 of raw', 'p99 ms, all samples'],
      rows: (['raw', 'ours'] as const).map((variant) => [
        variant,
        withSpread(p50(variant), 2),
        ratioWithSpread(p50(variant), p50('raw')),
        withSpread(p99(variant), 2),
        ratioWithSpread(p99(variant), p99('raw')),
        quantile(all[variant].flat(), 0.99).toFixed(2),
      ]),
      notes: [
        `${rounds} rounds of ${samples} samples each, raw and ours in turn, sample by sample; ${IDLE_MS} ms of idleness before each. Both workers are there all the time.`,
        'Ours includes checking the payload and fixing the id in `add`, and the schema at the pod.',
      ],
    };
  },
};

async function measure(store: Store, samples: number): Promise<{ raw: number[]; ours: number[] }> {
  const prefix = await store.fresh();
  const queue = new Queue('noop', { connection: store.redis, prefix });
  const producer = await createProducer({ redis: store.url, prefix });
  const rawWorker = await startWorker('raw', store, { prefix, mode: 'latency' });
  const ourWorker = await startWorker('ours', store, { prefix, mode: 'latency' });
  const sides = {
    raw: { child: rawWorker.child, add: (n: number) => queue.add('noop', payload(n), RAW_OPTS) },
    ours: { child: ourWorker.child, add: (n: number) => producer.add(noop, payload(n)) },
  };
  const sample = async (side: keyof typeof sides, n: number) => {
    await pause(IDLE_MS);
    const started = once(sides[side].child, 'message');
    const addedUs = Number(process.hrtime.bigint()) / 1_000;
    await sides[side].add(n);
    return (Number((await started)[0]) - addedUs) / 1_000;
  };
  const found = { raw: [] as number[], ours: [] as number[] };
  try {
    for (let n = 0; n < samples + WARM; n++) {
      for (const side of n % 2 === 0 ? (['raw', 'ours'] as const) : (['ours', 'raw'] as const)) {
        const ms = await sample(side, n);
        if (n >= WARM) found[side].push(ms);
      }
    }
  } finally {
    await Promise.all([rawWorker.stop(), ourWorker.stop(), producer.close(), queue.close()]);
  }
  return found;
}
