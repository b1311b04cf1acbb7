// Adds jobs and times it, in a process of its own: `producer.js <raw|ours> <shape> <count>`. A first part, untimed, warms up
// the code. Shapes: 'one by one' awaits each, 'in flight' keeps 100 going, 'bulk' sends 1,000 a call.

import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createProducer } from 'lanekeeper';
import { noop } from '../fleet/queues/noop.js';

const [variant, shape, countText] = process.argv.slice(2);
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
  return {
    add: (n) => producer.add(noop, payload(n)),
    addBulk: (from) =>
      producer.addMany(
        noop,
        Array.from({ length: BULK }, (_, n) => ({ payload: payload(from + n) })),
      ),
  };
}

const { add, addBulk } = await (variant === 'raw' ? openRaw() : openOurs());

const SHAPES = {
  async 'one by one'(count) {
    for (let n = 0; n < count; n++) await add(n);
  },
  async 'in flight'(count) {
    let next = 0;
    const loop = async () => {
      while (next < count) await add(next++);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  },
  async bulk(count) {
    for (let from = 0; from < count; from += BULK) await addBulk(from);
  },
};

const count = Number(countText);
await SHAPES[shape](Math.ceil(count / 4 / BULK) * BULK);
process.send('warm');

process.once('message', async () => {
  const cpu = process.cpuUsage();
  const startedAt = process.hrtime.bigint();
  await SHAPES[shape](count);
  const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
  const { user, system } = process.cpuUsage(cpu);
  process.send({ ms, cpuMs: (user + system) / 1_000 }, () => process.exit(0));
});
