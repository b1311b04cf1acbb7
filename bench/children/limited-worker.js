// What people do today for a shared limit, in a process of its own: `limited-worker.js <way>`. Each job is one request. `retrying`
// fails on a 429 and lets BullMQ try again; `rate-limited` uses BullMQ's own limiter and RateLimitError; `scheduled` asks
// Bottleneck once per job, on a connection that survives Redis 7 and goes by its clock (ours; without it it does not last).

import Bottleneck from 'bottleneck';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { openBottleneckConnection } from '../../dist/store/bottleneck-connection.js';

const [way] = process.argv.slice(2);
const { REDIS_URL, BENCH_PREFIX, BENCH_URL } = process.env;
const limits = JSON.parse(process.env.BENCH_LIMITS);
const concurrent = limits.find((limit) => limit.concurrent)?.concurrent;
const rate = limits.find((limit) => limit.count);
const perMs = rate && Number.parseInt(rate.per, 10) * 1_000;

const connection = new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const options = { connection, prefix: BENCH_PREFIX, concurrency: 100 };
/** How long an answer may take, and so how long Bottleneck may count a job that never ends. */
const EXPIRATION_MS = 10_000;

async function send() {
  const answer = await fetch(`${BENCH_URL}/work`);
  await answer.text();
  return answer;
}

async function sendOrThrow() {
  const { status } = await send();
  if (status >= 400) throw new Error(String(status));
}

const WAYS = {
  retrying: () => new Worker('noop', sendOrThrow, options),
  'rate-limited'() {
    const limiter = rate ? { limiter: { max: rate.count, duration: perMs } } : {};
    const worker = new Worker(
      'noop',
      async () => {
        const { status, headers } = await send();
        if (status !== 429) return;
        await worker.rateLimit(Number(headers.get('retry-after-ms')));
        throw Worker.RateLimitError();
      },
      { ...options, ...limiter },
    );
    return worker;
  },
  scheduled() {
    const { bottleneck } = openBottleneckConnection(REDIS_URL, () => {});
    const reservoir = rate && {
      reservoir: rate.count,
      reservoirRefreshAmount: rate.count,
      reservoirRefreshInterval: perMs,
    };
    const limiter = new Bottleneck({
      id: `{${BENCH_PREFIX}}`,
      connection: bottleneck,
      Redis,
      maxConcurrent: concurrent ?? null,
      heartbeatInterval: 250, // its default of 5 s refills a reservoir no sooner than that
      ...reservoir,
    });
    limiter.on('error', () => {});
    return new Worker('noop', () => limiter.schedule({ expiration: EXPIRATION_MS }, sendOrThrow), options);
  },
};

const worker = WAYS[way]();
worker.on('error', () => {});
await worker.waitUntilReady();
process.send('ready');

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
