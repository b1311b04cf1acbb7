// A producer hears within 1.5 s that Redis is away, whether it is down or only frozen, and works again when it is back.

import { describe, expect, vi } from 'vitest';
import { createProducer, defineLane, type Producer } from '../../src/index.ts';
import type { EmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { it, type World } from '../support/world.ts';
import { rejection } from './looking.ts';
import { adminOf, privateRedis } from './private-redis.ts';

const lane = defineLane({ name: 'open' });

async function producerOf(world: World, redis: EmbeddedRedis): Promise<Producer> {
  const producer = await createProducer({ redis: redis.url, prefix: world.prefix });
  world.defer(() => producer.close());
  await producer.add(lane, {});
  return producer;
}

/** Which came first: the refusal, or the end of the 1.5 s that were promised. */
function raced(refusal: Promise<Error & { code?: string }>): Promise<string | undefined> {
  const signal = AbortSignal.timeout(1_500);
  const late = new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('1.5 s were over')));
  return Promise.race([refusal.then(({ code }) => code), late]);
}

describe('a Redis that is down', () => {
  it('is told within 1.5 s, to each of them, and forgotten when it is back', async ({ world }) => {
    const redis = await privateRedis(world);
    const producer = await producerOf(world, redis);
    process.kill(redis.pid, 'SIGKILL');
    expect(await raced(rejection(producer.add(lane, {})))).toBe('LK_REDIS_DOWN');
    expect(await raced(rejection(producer.add(lane, {}, { key: 'k' })))).toBe('LK_REDIS_DOWN');
    expect(await raced(rejection(producer.addMany(lane, [{ payload: 1 }])))).toBe('LK_REDIS_DOWN');
    await redis.restart();
    await vi.waitFor(() => producer.add(lane, {}), { timeout: 10_000, interval: 20 });
  });
});

describe('a Redis that is frozen', () => {
  it('is told within 1.5 s, to each of them, and forgotten when it is back', async ({ world }) => {
    const redis = await privateRedis(world);
    const producer = await producerOf(world, redis);
    process.kill(redis.pid, 'SIGSTOP');
    world.defer(() => process.kill(redis.pid, 'SIGCONT'));
    expect(await raced(rejection(producer.add(lane, {})))).toBe('LK_REDIS_DOWN');
    expect(await raced(rejection(producer.add(lane, {}, { key: 'k' })))).toBe('LK_REDIS_DOWN');
    expect(await raced(rejection(producer.addMany(lane, [{ payload: 1 }])))).toBe('LK_REDIS_DOWN');
    process.kill(redis.pid, 'SIGCONT');
    await vi.waitFor(() => producer.add(lane, {}), { timeout: 10_000, interval: 20 });
  });

  it('shows no password when it is told', async ({ world }) => {
    const redis = await privateRedis(world);
    const producer = await producerOf(world, redis);
    process.kill(redis.pid, 'SIGSTOP');
    world.defer(() => process.kill(redis.pid, 'SIGCONT'));
    const { message } = await rejection(producer.add(lane, {}));
    expect(message).not.toContain(new URL(redis.url).password);
  });
});

describe('a Redis that refuses to write', () => {
  it('is told by its own words, and nothing is said to be added', async ({ world }) => {
    const redis = await privateRedis(world);
    const producer = await producerOf(world, redis);
    const admin = adminOf(world, redis);
    await admin.config('SET', 'min-replicas-to-write', '1');
    const refused = await rejection(producer.add(lane, {}));
    expect(refused).toMatchObject({ code: 'LK_REDIS_DOWN', message: expect.stringMatching(/refused.*NOREPLICAS/) });
    await admin.config('SET', 'min-replicas-to-write', '0');
    await producer.add(lane, {});
  });
});
