// Pods on a Redis that somebody else has filled: they wait, they do not spin, they say so in a few lines, and when there is
// memory again everything goes on by itself and nothing is lost.

import { pino } from 'pino';
import { expect, vi } from 'vitest';
import { createPod } from '../../src/engine/pod.ts';
import { defineLane, handle } from '../../src/index.ts';
import { openProducer } from '../../src/path/producer.ts';
import { connectRedis } from '../../src/store/connect.ts';
import { systemClock } from '../../src/words/clock.ts';
import { gate, RETRYING } from '../path/looking.ts';
import { adminOf, privateRedis } from '../path/private-redis.ts';
import { it, type World } from '../support/world.ts';

const LANES = ['a', 'b', 'c'].map((name) => defineLane({ name, concurrency: 40 }));
const [JOBS, RUNNING] = [60, 40];

async function refusalsOf(admin: ReturnType<typeof adminOf>): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await admin.info('errorstats'))?.[1] ?? 0);
}

/** A pod whose log is kept. */
async function loggedPod(world: World, redisUrl: string, run: () => Promise<unknown>) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const handlers = LANES.map((lane) => handle(lane, { run }));
  const pod = createPod({ redisUrl, prefix: world.prefix, handlers, concurrency: 1_000, log, watchdog: false });
  world.defer(() => pod.stop('over', 0));
  const ended = new Set<string>();
  pod.events.on('attempt.finished', ({ lane, job }) => void ended.add(`${lane}/${job}`));
  await pod.start();
  return { pod, lines, ended };
}

it('pods wait on it without spinning, say so in a few lines, and go on when there is memory', async ({ world }) => {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  const producer = openProducer(await connectRedis(redis.url, 'producer'), redis.url, world.prefix, systemClock);
  world.defer(() => producer.close());
  const ids: string[] = [];
  for (const lane of LANES) {
    const added = await producer.addMany(
      lane,
      Array.from({ length: JOBS }, () => ({ payload: null })),
    );
    ids.push(...added.map(({ id }) => `${lane.name}/${id}`));
  }
  const { opened, open } = gate();
  const { pod, lines, ended } = await loggedPod(world, redis.url, () => opened);
  const seen = world.record(pod);
  await vi.waitFor(() => expect(pod.running).toBe(LANES.length * RUNNING), RETRYING);

  await admin.config('SET', 'maxmemory', '1');
  open();
  await vi.waitFor(() => expect(seen.some(({ name }) => name === 'redis.full')).toBe(true), RETRYING);
  // What was under way has each been refused once by now, or waits behind one that was.
  const startedAt = systemClock.mono();
  const before = await refusalsOf(admin);
  await vi.waitFor(() => expect(systemClock.mono() - startedAt).toBeGreaterThan(6_000), { timeout: 30_000 });
  const perSecond = ((await refusalsOf(admin)) - before) / ((systemClock.mono() - startedAt) / 1_000);
  expect(perSecond, 'it asks all the while').toBeGreaterThan(0);
  // A lane: one fetch, one settle, one renewal each second. A pod: heartbeat, sweep, watch, journal.
  expect(perSecond).toBeLessThanOrEqual(3 * LANES.length + 4);
  expect(lines.filter(({ msg }) => msg === 'redis.failing').length).toBeLessThanOrEqual(7);

  await admin.config('SET', 'maxmemory', '0');
  await vi.waitFor(() => expect(ids.filter((id) => !ended.has(id))).toEqual([]), { timeout: 40_000, interval: 50 });
  await vi.waitFor(() => expect(seen.some(({ name }) => name === 'redis.roomy')).toBe(true), RETRYING);
  expect(seen.filter(({ name }) => name === 'redis.full' || name === 'redis.roomy')).toHaveLength(2);
  for (const lane of LANES) {
    expect(await admin.zcard(`${world.keys.queuePrefix(lane)}:${lane.name}:completed`)).toBe(JOBS);
  }
}, 120_000);

it('two pods tell its beginning and its end once', async ({ world }) => {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  const pods = await Promise.all([1, 2].map(() => loggedPod(world, redis.url, async () => null)));
  const told = pods.map(({ pod }) => world.record(pod));
  const count = (what: string) => told.flat().filter(({ name }) => name === what).length;
  await admin.setrange('ballast', 2 ** 25, 'x');
  const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
  await admin.config('SET', 'maxmemory', String(Math.ceil(used / 0.85)));
  await vi.waitFor(() => expect(count('redis.full')).toBe(1), RETRYING);
  await vi.waitFor(async () => expect(await admin.get(world.keys.full())).not.toBeNull(), RETRYING);
  await admin.config('SET', 'maxmemory', '0');
  await vi.waitFor(() => expect(count('redis.roomy')).toBe(1), RETRYING);
  expect(await admin.get(world.keys.full())).toBeNull();
  expect(count('redis.full')).toBe(1);
});
