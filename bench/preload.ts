// Fills the measured queue before the clock starts, each variant by its own door, so that the jobs are as users make them.

import { type JobsOptions, Queue } from 'bullmq';
import { createProducer } from 'lanekeeper';
import { noop } from './fleet/queues/noop.js';
import type { Store } from './store.ts';

export { noop };

const BULK = 1_000;

export const payload = (n: number) => ({
  title: `job ${n}`,
  body: 'x'.repeat(100),
  channel: 'general',
  count: n,
  urgent: false,
});

/** The lane's default retry, said to raw BullMQ. */
export const RAW_OPTS = { attempts: 4, backoff: { type: 'exponential', delay: 2_000 } };

export async function preload(
  kind: 'raw' | 'ours',
  store: Store,
  prefix: string,
  count: number,
  opts: JobsOptions = RAW_OPTS,
): Promise<void> {
  const batches = Array.from({ length: Math.ceil(count / BULK) }, (_, n) => n * BULK);
  const itemsFrom = (from: number) => Array.from({ length: Math.min(BULK, count - from) }, (_, n) => payload(from + n));
  if (kind === 'ours') {
    const producer = await createProducer({ redis: store.url, prefix });
    for (const from of batches)
      await producer.addMany(
        noop,
        itemsFrom(from).map((item) => ({ payload: item })),
      );
    await producer.close();
    return;
  }
  const queue = new Queue('noop', { connection: store.redis, prefix });
  for (const from of batches) {
    await queue.addBulk(itemsFrom(from).map((data) => ({ name: 'noop', data, opts })));
  }
  await queue.close();
}
