// One short talk with a Redis server that may be absent, loading, frozen or somebody else's: a connection of its own, a time
// limit on everything, no retries, and it is closed again whatever happens.

import { Redis } from 'ioredis';

/** Rejects when the whole talk is not over within `timeoutMs`. */
export async function askRedis<T>(url: string, talk: (redis: Redis) => Promise<T>, timeoutMs = 1_000): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    // ioredis holds the event loop this long (2 s by default) for a connection that was refused.
    disconnectTimeout: 10,
  });
  // Every failure also reaches the caller as a rejection; without a listener it would be printed as well.
  redis.on('error', () => {});
  // One limit for all of it: ioredis's own are per step, and a frozen server used up three of them (measured: 3 s).
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([redis.connect().then(() => talk(redis)), tooLate]);
  } finally {
    clearTimeout(timer);
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
