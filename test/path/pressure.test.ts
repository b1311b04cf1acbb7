// No more comes in than a lane's backlog, or Redis's memory, has room for; what is refused has written nothing, and what is in
// already is not refused. The bound by which several producers may pass the limit is kept.

import type { Redis } from 'ioredis';
import { describe, expect, vi } from 'vitest';
import { createProducer, defineLane, handle, type Lane, type Producer } from '../../src/index.ts';
import { ignorePressure } from '../../src/path/pressure.ts';
import { openProducer } from '../../src/path/producer.ts';
import { connectRedis } from '../../src/store/connect.ts';
import type { EmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { systemClock } from '../../src/words/clock.ts';
import { it, type World } from '../support/world.ts';
import { keysOf, RETRYING, rejection } from './looking.ts';
import { adminOf, privateRedis } from './private-redis.ts';

const narrow = defineLane({ name: 'narrow', backlog: 100 });
const items = (count: number) => Array.from({ length: count }, (_, n) => ({ payload: n }));

async function waiting(world: World, lane: Lane): Promise<number> {
  const counts = await world.queue(lane).backend.getCounts(['wait', 'prioritized', 'delayed']);
  return counts.reduce((sum, count) => sum + count, 0);
}

async function producersOf(world: World, count: number): Promise<Producer[]> {
  return Promise.all(Array.from({ length: count }, () => world.producer()));
}

describe('a lane whose backlog is full', () => {
  it('refuses the next in one line with lane, figure and limit, and nothing is written', async ({ world }) => {
    const producer = await world.producer();
    await producer.addMany(narrow, items(40));
    await producer.add(narrow, null, { priority: 3 });
    await producer.addMany(
      narrow,
      items(59).map((item) => ({ ...item, at: Date.UTC(2040, 0, 1) })),
    );
    const before = await keysOf(world);
    const refused = await rejection(producer.add(narrow, null));
    expect(refused).toMatchObject({ code: 'LK_BACKLOG_FULL', name: 'LanekeeperError' });
    expect(refused.message).toMatch(/^lane "narrow": backlog full: expected at most 100 .*got 100 and 1 more; [^\n]+$/);
    expect((await rejection(producer.addMany(narrow, items(5)))).code).toBe('LK_BACKLOG_FULL');
    expect(await keysOf(world)).toEqual(before);
  });

  it('takes a call whole or not at all', async ({ world }) => {
    const producer = await world.producer();
    await producer.addMany(narrow, items(95));
    expect((await rejection(producer.addMany(narrow, items(6)))).message).toContain('got 95 and 6 more');
    expect(await waiting(world, narrow)).toBe(95);
    await producer.addMany(narrow, items(5));
    expect(await waiting(world, narrow)).toBe(100);
  });

  it('lets in again what is in already, by its key, one or many', async ({ world }) => {
    const producer = await world.producer();
    const { id } = await producer.add(narrow, null, { key: 'k' });
    await producer.addMany(narrow, items(99));
    expect(await producer.add(narrow, null, { key: 'k' })).toMatchObject({ id, state: 'waiting' });
    expect(await producer.addMany(narrow, [{ payload: null, key: 'k' }])).toMatchObject([{ id }]);
    expect((await rejection(producer.add(narrow, null, { key: 'new' }))).code).toBe('LK_BACKLOG_FULL');
    const mixed = [{ payload: null, key: 'k' }, { payload: 1 }];
    expect((await rejection(producer.addMany(narrow, mixed))).message).toContain('100 and 1 more');
  });

  it('takes more as soon as a pod has made room, and stands in nobody else’s way', async ({ world }) => {
    const producer = await world.producer();
    await producer.addMany(narrow, items(100));
    await rejection(producer.add(narrow, null));
    await producer.addMany(defineLane({ name: 'other' }), items(200));
    await world.pod([handle(narrow, { run: () => null })]);
    await vi.waitFor(() => producer.add(narrow, null), RETRYING);
  });

  it('is filled to the last place by many adds at once of one producer', async ({ world }) => {
    const producer = await world.producer();
    const all = await Promise.allSettled(Array.from({ length: 300 }, () => producer.add(narrow, null)));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
    expect(await waiting(world, narrow)).toBe(100);
  });

  it('is passed by several producers at once by at most one call each but the last', async ({ world }) => {
    const lane = defineLane({ name: 'wide', backlog: 2_000 });
    const [call, count] = [7, 8];
    const producers = await producersOf(world, count);
    const push = async (producer: Producer) => {
      for (;;) await producer.addMany(lane, items(call));
    };
    const ends = await Promise.all(producers.map((producer) => rejection(push(producer))));
    expect(new Set(ends.map(({ code }) => code))).toEqual(new Set(['LK_BACKLOG_FULL']));
    const there = await waiting(world, lane);
    expect(there).toBeGreaterThan(2_000 - call);
    expect(there).toBeLessThanOrEqual(2_000 + (count - 1) * call);
  });

  it('counts what large calls of its own have still to write', async ({ world }) => {
    const lane = defineLane({ name: 'bulk', backlog: 10_000 });
    const producer = await world.producer();
    const all = await Promise.allSettled(Array.from({ length: 12 }, () => producer.addMany(lane, items(2_500))));
    expect(await waiting(world, lane)).toBe(2_500 * all.filter(({ status }) => status === 'fulfilled').length);
    expect(await waiting(world, lane)).toBeLessThanOrEqual(10_000);
    expect(await waiting(world, lane)).toBeGreaterThan(0);
  });

  it('costs no look per add: thousands of adds, a handful of looks', async ({ world }) => {
    const redis = await privateRedis(world);
    const producer = await createProducer({ redis: redis.url, prefix: world.prefix });
    world.defer(() => producer.close());
    const lane = defineLane({ name: 'default' });
    const admin = adminOf(world, redis);
    await producer.add(lane, null);
    await admin.config('RESETSTAT');
    const startedAt = systemClock.mono();
    for (let n = 0; n < 2_000; n++) await producer.add(lane, null);
    const quarters = Math.ceil((systemClock.mono() - startedAt) / 250);
    const calls = await callsOf(admin);
    // A look at the backlog is three commands of one script; an add is more than one.
    expect(calls('evalsha') - 2_000).toBeLessThanOrEqual(quarters + 1);
    expect(calls('info')).toBeLessThanOrEqual(Math.ceil(quarters / 4) + 1);
  });
});

async function callsOf(admin: Redis): Promise<(command: string) => number> {
  const stats = await admin.info('commandstats');
  return (command) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

/** A Redis that holds so much and no more. */
async function smallRedis(world: World, mib: number): Promise<{ redis: EmbeddedRedis; admin: Redis }> {
  const redis = await privateRedis(world);
  const admin = adminOf(world, redis);
  await admin.config('SET', 'maxmemory', `${mib}mb`);
  return { redis, admin };
}

async function openOn(world: World, redis: EmbeddedRedis, isHeedless = false): Promise<Producer> {
  const connection = await connectRedis(redis.url, 'producer');
  if (isHeedless) ignorePressure(connection);
  const producer = openProducer(connection, redis.url, world.prefix, systemClock);
  world.defer(() => producer.close());
  return producer;
}

async function oomErrors(admin: Redis): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await admin.info('errorstats'))?.[1] ?? 0);
}

const heavy = defineLane({ name: 'heavy', done: { keep: '1m', max: 1 }, concurrency: 50 });
const payload = 'x'.repeat(4_000);

describe('a Redis that is nearly full', () => {
  it('refuses at 75 % with the figure, and admits again below 70 %', async ({ world }) => {
    const redis = await privateRedis(world);
    const admin = adminOf(world, redis);
    const producer = await openOn(world, redis);
    await producer.add(heavy, 0);
    await admin.setrange('ballast', 2 ** 25, 'x'); // what comes and goes beside it is less than a percent
    const use = async (ratio: number) => {
      const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
      await admin.config('SET', 'maxmemory', String(Math.ceil(used / ratio)));
    };
    const refusal = (said: RegExp) =>
      vi.waitFor(async () => expect((await rejection(producer.add(heavy, 1))).message).toMatch(said), RETRYING);
    await use(0.8);
    await refusal(/^Redis uses (79|80|81) % of \d\d MiB \(limit 75 %\): [^\n]+ or raise maxmemory$/);
    expect((await rejection(producer.addMany(heavy, items(2)))).code).toBe('LK_REDIS_FULL');
    await use(0.725);
    await refusal(/^Redis uses 7[123] %/);
    await use(0.65);
    await vi.waitFor(() => producer.add(heavy, 2), RETRYING);
    await use(0.725);
    await producer.add(heavy, 3);
  });

  it('refuses one call that alone would fill it, and nothing is written', async ({ world }) => {
    const { redis, admin } = await smallRedis(world, 24);
    const producer = await openOn(world, redis);
    const large = Array.from({ length: 1_000 }, () => ({ payload: 'x'.repeat(20_000) }));
    const refused = await rejection(producer.addMany(heavy, large));
    expect(refused.code).toBe('LK_REDIS_FULL');
    expect(refused.message).toMatch(
      /^Redis uses \d+ % of 24 MiB \(limit 75 %\) and this would add about 2\d MiB: [^\n]+$/,
    );
    expect(await admin.dbsize()).toBe(0);
    await producer.addMany(heavy, large.slice(0, 100));
  });

  it('is never driven to OOM by producers who push as hard as they can, and pods drain it', async ({ world }) => {
    const { redis, admin } = await smallRedis(world, 32);
    const { accepted, refusals } = await flood(world, redis, false);
    expect(refusals).toEqual(new Set(['LK_REDIS_FULL']));
    const ran = new Set<unknown>();
    await world.pod([handle(heavy, { run: ({ id }) => void ran.add(id) })], { redisUrl: redis.url });
    const more = await flood(world, redis, false);
    expect(more.refusals).toEqual(new Set(['LK_REDIS_FULL']));
    const all = [...accepted, ...more.accepted];
    await vi.waitFor(() => expect(all.filter((id) => !ran.has(id))).toEqual([]), { timeout: 30_000, interval: 50 });
    expect(await oomErrors(admin)).toBe(0);
  });

  it('is driven to OOM when nobody asks (twin)', async ({ world }) => {
    const { redis, admin } = await smallRedis(world, 32);
    const { refusals } = await flood(world, redis, true);
    expect(refusals).toEqual(new Set(['LK_REDIS_DOWN']));
    expect(await oomErrors(admin)).toBeGreaterThan(0);
  });
});

/** Four producers, ten adds under way each, until each has been refused fifty times. */
async function flood(world: World, redis: EmbeddedRedis, isHeedless: boolean) {
  const accepted: string[] = [];
  const refusals = new Set<string | undefined>();
  const push = async (producer: Producer) => {
    for (let refused = 0; refused < 50; ) {
      const calls = Array.from({ length: 10 }, () => producer.add(heavy, payload));
      for (const call of await Promise.allSettled(calls)) {
        if (call.status === 'fulfilled') accepted.push(call.value.id);
        else refusals.add((call.reason as { code?: string }).code);
        if (call.status === 'rejected') refused++;
      }
    }
  };
  const producers = await Promise.all(Array.from({ length: 4 }, () => openOn(world, redis, isHeedless)));
  await Promise.all(producers.map(push));
  return { accepted, refusals };
}
