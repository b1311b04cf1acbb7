// Raw BullMQ in a process of its own: a Worker with its own defaults, and the concurrency the lane has. BENCH_QUEUES makes
// that many idle ones; BENCH_KEEP trims done jobs as a lane does.

import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { runJob } from './run-job.js';

const { REDIS_URL, BENCH_PREFIX, BENCH_KEEP, BENCH_QUEUES = '1' } = process.env;

// Two connections for a Worker with an address of its own, one for each that shares this: the better of the two.
const connection = new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const removeOnComplete = BENCH_KEEP ? { removeOnComplete: JSON.parse(BENCH_KEEP) } : {};

const workers = Array.from({ length: Number(BENCH_QUEUES) }, (_, n) => {
  const name = n === 0 ? 'noop' : `noop-${n}`;
  return new Worker(name, () => runJob(), { connection, prefix: BENCH_PREFIX, concurrency: 100, ...removeOnComplete });
});
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
process.send('ready');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  process.exit(0);
});
