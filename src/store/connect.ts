// Redis connections by the job they do. A producer must hear within 1.5 s that Redis is away; a pod waits and comes back by
// itself; a blocked connection serves nothing else.

import { Redis, type RedisOptions } from 'ioredis';
import { withoutPassword } from '../words/config.ts';
import { LanekeeperError, toError } from '../words/errors.ts';
import { groupWrites } from './group-writes.ts';

export type { Redis };

/** Measured: only these three together cover a Redis that is down *and* one that is frozen (0.8 s and 1.0 s). */
const PRODUCER: RedisOptions = { enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: 1_000 };

/** Commands wait for Redis to come back, however long it takes; 50 ms at first, so that a restart costs little. */
const POD: RedisOptions = { maxRetriesPerRequest: null };

const RECONNECT: RedisOptions = {
  connectTimeout: 5_000,
  keepAlive: 10_000,
  retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 1_000 + Math.random() * 500),
};

export type ConnectionRole = 'producer' | 'pod' | 'blocking';

/** Connects in the background. Errors go to `onError`; an ioredis without a listener would print them. */
export function openRedis(url: string, role: ConnectionRole, onError: (error: Error) => void = () => {}): Redis {
  const redis = new Redis(url, {
    ...RECONNECT,
    ...(role === 'producer' ? PRODUCER : POD),
    connectionName: `lanekeeper:${role}`,
  });
  redis.on('error', onError);
  if (role === 'pod') groupWrites(redis);
  return redis;
}

/** One more connection to the same Redis, for one that waits: it has no deadline, and comes back by itself. */
export function openBeside(redis: Redis): Redis {
  const beside = redis.duplicate({
    ...POD,
    enableOfflineQueue: true,
    commandTimeout: undefined as never,
    connectionName: 'lanekeeper:blocking',
  });
  beside.on('error', () => {});
  return beside;
}

/** As openRedis, but resolves once Redis answers, and refuses with one clear line when it does not. */
export async function connectRedis(url: string, role: ConnectionRole, withinMs = 3_000): Promise<Redis> {
  let last: Error | undefined;
  const redis = openRedis(url, role, (error) => {
    last = error;
  });
  const timer = AbortSignal.timeout(withinMs);
  try {
    await new Promise<void>((ready, refuse) => {
      redis.once('ready', ready);
      redis.once('end', () => refuse(new Error('the connection was closed')));
      timer.addEventListener('abort', () => refuse(last ?? new Error(`no answer within ${withinMs} ms`)));
    });
  } catch (error) {
    redis.disconnect();
    throw redisDown(url, error);
  }
  return redis;
}

/** `also` says what had happened before. */
export function redisDown(url: string, thrown: unknown, also = '', accepted?: (string | null)[]): LanekeeperError {
  const { code, message } = toError(thrown) as Error & { code?: string };
  const said = code && !message.includes(code) ? `${code} ${message}` : message;
  return new LanekeeperError(
    'LK_REDIS_DOWN',
    `Redis at ${withoutPassword(url)} does not answer: ${said.trim()}${also}`,
    { cause: thrown, accepted },
  );
}
