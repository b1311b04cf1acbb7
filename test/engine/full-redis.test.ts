// Pods on a Redis that somebody else has filled: they wait, they do not spin, they say so in a few lines, and when there is
// memory again everything goes on by itself and nothing is lost.

import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { expect, vi } from 'vitest';
import { createPod } from '../../src/engine/pod.ts';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { openProducer } from '../../src/path/producer.ts';
import { connectRedis } from '../../src/store/connect.ts';
import { systemClock } from '../../src/words/clock.ts';
import { gate, RETRYING } from '../path/looking.ts';
import { adminOf, privateRedis } from '../path/private-redis.ts';
import { startUpstream } from '../path/upstream-server.ts';
import { it, type World } from '../support/world.ts';

const LANES = ['a', 'b', 'c'].map((name) => defineLane({ name, concurrency: 40 }));
const [JOBS, RUNNING] = [60, 40];
const PATIENT = { timeout: 40_000, interval: 50 };

/** Refused commands, of all kinds of no, by Redis's own count. */
async function refusalsOf(admin: Redis): Promise<number> {
  const counts = (await admin.info('errorstats')).matchAll(/errorstat_(?:OOM|NOREPLICAS):count=(\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Over three seconds, beginning in one: what is under way at first is refused at once, each. */
async function refusalsPerSecond(admin: Redis): Promise<number> {
  const pass = async (ms: number) => {
    const startedAt = systemClock.mono();
    await vi.waitFor(() => expect(systemClock.mono() - startedAt).toBeGreaterThan(ms), { timeout: 60_000 });
    return systemClock.mono() - startedAt;
  };
  await pass(1_000);
  const before = await refusalsOf(admin);
  const tookMs = await pass(3_000);
  return ((await refusalsOf(admin)) - before) / (tookMs / 1_000);
}

/** A lane: one fetch, one settle, one renewal each second. A pod: heartbeat, sweep, watch, journal. */
const MOST_PER_SECOND = 3 * LANES.length + 4;
const KINDS = 7;

/** 60 jobs for each lane, by lane and id. */
async function fill(world: World, url: string): Promise<string[]> {
  const producer = openProducer(await connectRedis(url, 'producer'), url, world.prefix, systemClock);
  world.defer(() => producer.close());
  const items = Array.from({ length: JOBS }, () => ({ payload: null }));
  const added = LANES.map(async (lane) => (await producer.addMany(lane, items)).map(({ id }) => `${lane.name}/${id}`));
  return (await Promise.all(added)).flat();
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

it('a pod that starts on one does not spin, says so in a few lines, and works when there is memory', async ({
  world,
}) => {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  const ids = await fill(world, redis.url);
  await admin.config('SET', 'maxmemory', '1');
  const { pod, lines, ended } = await loggedPod(world, redis.url, async () => null);
  const seen = world.record(pod);
  await vi.waitFor(() => expect(seen.some(({ name }) => name === 'redis.full')).toBe(true), RETRYING);
  const perSecond = await refusalsPerSecond(admin);
  expect(perSecond, 'it asks all the while').toBeGreaterThanOrEqual(1);
  expect(perSecond).toBeLessThanOrEqual(MOST_PER_SECOND);
  expect(ended.size).toBe(0);
  expect(lines.filter(({ msg }) => msg === 'redis.failing').length).toBeLessThanOrEqual(KINDS);

  await admin.config('SET', 'maxmemory', '0');
  await vi.waitFor(() => expect(ids.filter((id) => !ended.has(id))).toEqual([]), PATIENT);
  await vi.waitFor(() => expect(seen.some(({ name }) => name === 'redis.roomy')).toBe(true), RETRYING);
  expect(seen.filter(({ name }) => name === 'redis.full' || name === 'redis.roomy')).toHaveLength(2);
});

it('120 attempts that cannot be settled ask once a second and lane, and are settled when they can', async ({
  world,
}) => {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  const ids = await fill(world, redis.url);
  const { opened, open } = gate();
  const { pod, lines, ended } = await loggedPod(world, redis.url, () => opened);
  const seen = world.record(pod);
  await vi.waitFor(() => expect(pod.running).toBe(LANES.length * RUNNING), RETRYING);
  // Every write is refused, as with a full disk. At OOM Redis 7 lets a settle through, because it begins by deleting.
  await admin.config('SET', 'min-replicas-to-write', '1');
  open();
  await vi.waitFor(async () => expect(await refusalsOf(admin)).toBeGreaterThanOrEqual(LANES.length), RETRYING);
  const perSecond = await refusalsPerSecond(admin);
  expect(perSecond, 'it asks all the while').toBeGreaterThanOrEqual(1);
  expect(perSecond).toBeLessThanOrEqual(MOST_PER_SECOND);
  expect(lines.filter(({ msg }) => msg === 'redis.failing').length).toBeLessThanOrEqual(KINDS);

  await admin.config('SET', 'min-replicas-to-write', '0');
  await vi.waitFor(() => expect(ids.filter((id) => !ended.has(id))).toEqual([]), PATIENT);
  expect(seen.filter(({ name }) => name === 'attempt.lost' || name === 'settle.refused')).toEqual([]);
});

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

it('an act is settled on one, and its agent given back', async ({ world }) => {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  const upstream = await startUpstream(world);
  const forum = defineUpstream({ name: 'forum', baseUrl: upstream.url, agents: ['a01'] });
  const lane = defineLane({ name: 'publish', upstream: forum, agent: { cooldown: '1h' } });
  const { opened, open } = gate();
  const run: Parameters<typeof handle>[1]['run'] = async (_, ctx) => {
    await (await ctx.fetch('/act')).text();
    await opened;
  };
  await world.pod([handle(lane, { run })], { redisUrl: redis.url });
  const producer = openProducer(await connectRedis(redis.url, 'producer'), redis.url, world.prefix, systemClock);
  world.defer(() => producer.close());
  const { id } = await producer.add(lane, null);
  await vi.waitFor(() => expect(upstream.asked).toHaveLength(1), RETRYING);
  await admin.config('SET', 'maxmemory', '1');
  open();
  const queue = world.keys.queuePrefix(lane);
  await vi.waitFor(async () => expect(await admin.zscore(`${queue}:publish:completed`, id)).not.toBeNull(), RETRYING);
  expect(await admin.hget(world.keys.agent('forum', 'a01'), 'token')).toBeNull();
  await admin.config('SET', 'maxmemory', '0');
});
