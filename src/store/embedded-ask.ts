// One short talk with a Redis server that may be absent, loading, frozen or somebody else's: a connection of its own, a time
// limit on everything, no retries, and it is closed again whatever happens.

import { Redis } from 'ioredis';

/** Rejects when there is no answer within `timeoutMs`. */
export async function askRedis<T>(url: string, talk: (redis: Redis) => Promise<T>, timeoutMs = 1_000): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  // Every failure also reaches the caller as a rejection; without a listener it would be printed as well.
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await talk(redis);
  } finally {
    redis.disconnect();
  }
}

/** 'ready' answers commands, 'loading' reads its data first, 'silent' does not answer or is not ours. */
export async function pingRedis(url: string): Promise<'ready' | 'loading' | 'silent'> {
  try {
    await askRedis(url, (redis) => redis.ping());
    return 'ready';
  } catch (error) {
    return /\bLOADING\b/.test(String(error)) ? 'loading' : 'silent';
  }
}
