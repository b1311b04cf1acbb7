// One of two deployments that act as the same accounts and know nothing of each other, in a process of its own:
// `incident-worker.js <queue>`. Each keeps a calendar of its own and is careful: it acts as an agent only when that has rested, by all
// it knows. What the upstream refuses fails, and BullMQ tries again, ten times, with a backoff that doubles.

import { DelayedError, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [name] = process.argv.slice(2);
const { REDIS_URL, BENCH_PREFIX, BENCH_URL } = process.env;
const cooldownMs = Number(process.env.BENCH_COOLDOWN_MS);
/** Agent -> when it may act again, as far as this deployment knows. */
const opensAt = new Map(JSON.parse(process.env.BENCH_AGENTS).map((agent) => [agent, 0]));

const connection = new Redis(REDIS_URL, { maxRetriesPerRequest: null });

async function act(job, token) {
  const [agent, at] = [...opensAt].reduce((first, next) => (next[1] < first[1] ? next : first));
  if (at > Date.now()) {
    await job.moveToDelayed(Math.min(at, Date.now() + cooldownMs), token);
    throw new DelayedError();
  }
  opensAt.set(agent, Number.POSITIVE_INFINITY);
  try {
    const headers = { 'x-agent': agent, 'x-job-id': job.id };
    const answer = await fetch(`${BENCH_URL}/act?lane=${name}`, { headers });
    await answer.text();
    if (answer.status >= 400) throw new Error(String(answer.status));
  } finally {
    opensAt.set(agent, Date.now() + cooldownMs);
  }
}

// The shared limit is three at once: each deployment has read that, and keeps to it.
const worker = new Worker(name, act, { connection, prefix: BENCH_PREFIX, concurrency: 3 });
worker.on('error', () => {});
await worker.waitUntilReady();
process.send('ready');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
