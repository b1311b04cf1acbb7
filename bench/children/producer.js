// Adds jobs and times it, in a process of its own: `producer.js <variant> <shape> <count> <warm>`. The first `warm` of them are
// not timed. Shapes: 'one by one' awaits each, 'in flight' keeps 100 going, 'bulk' sends 1,000 a call.

import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createProducer, defineLane } from 'lanekeeper';
import { noop } from '../fleet/queues/noop.js';

const [variant, shape, ...counts] = process.argv.slice(2);
const { REDIS_URL, BENCH_PREFIX } = process.env;
const IN_FLIGHT = 100;
const BULK = 1_000;

const payload = (n) => ({ title: `job ${n}`, body: 'x'.repeat(100), channel: 'general', count: n, urgent: false });

async function openRaw() {
  const queue = new Queue('noop', { connection: new Redis(REDIS_URL), prefix: BENCH_PREFIX });
  await queue.waitUntilReady();
  // The same retry as the lane's default; without it a job stores less, but dies of its first error.
  const opts = { attempts: 4, backoff: { type: 'exponential', delay: 2_000 } };
  return {
    add: (n) => queue.add('noop', payload(n), opts),
    addBulk: (from) =>
      queue.addBulk(Array.from({ length: BULK }, (_, n) => ({ name: 'noop', data: payload(from + n), opts }))),
  };
}

async function openOurs() {
  const producer = await createProducer({ redis: REDIS_URL, prefix: BENCH_PREFIX });
  const isKeyed = variant === 'ours, keyed';
  const lane =
    variant === 'ours, by content' ? defineLane({ name: noop.name, payload: noop.payload, dedupe: 'content' }) : noop;
  return {
    add: (n) => producer.add(lane, payload(n), isKeyed ? { key: `order-${n}` } : {}),
    addBulk: (from) =>
      producer.addMany(
        lane,
        Array.from({ length: BULK }, (_, n) => ({
          payload: payload(from + n),
          ...(isKeyed && { key: `order-${from + n}` }),
        })),
      ),
  };
}

const { add, addBulk } = await (variant === 'raw' ? openRaw() : openOurs());

const SHAPES = {
  async 'one by one'(first, count) {
    for (let n = 0; n < count; n++) await add(first + n);
  },
  async 'in flight'(first, count) {
    let next = first;
    const loop = async () => {
      while (next < first + count) await add(next++);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  },
  async bulk(first, count) {
    for (let from = first; from < first + count; from += BULK) await addBulk(from);
  },
};

const [count, warm] = counts.map(Number);
await SHAPES[shape](0, warm);
process.send('warm');

process.once('message', async () => {
  const cpu = process.cpuUsage();
  const startedAt = process.hrtime.bigint();
  await SHAPES[shape](warm, count);
  const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
  const { user, system } = process.cpuUsage(cpu);
  process.send({ ms, cpuMs: (user + system) / 1_000 }, () => process.exit(0));
});
