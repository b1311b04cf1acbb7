// What a service says that opens a door of ours by itself: which Redis and which prefix, or what the environment names.

import { readConfig } from '../words/config.ts';
import { firstLine, LanekeeperError, wrongOption } from '../words/errors.ts';

export interface DoorOptions {
  /** Default: REDIS_URL. */
  redis?: string | undefined;
  /** Default: LANEKEEPER_PREFIX, or `lk`. */
  prefix?: string | undefined;
}

/** It hears within 1.5 s that Redis is away, also when it is opened. */
export const HEAR_MS = 1_400;

const OPTIONS = ['redis', 'prefix'] as const;

/** A copy, of known names; `own`: what this door takes beside them, and reads by itself. */
export function readDoor<T extends DoorOptions>(door: string, given: T, own: readonly string[] = []): T {
  const names = [...own, ...OPTIONS];
  let copy: T | undefined;
  try {
    const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
    copy = isObject ? { ...given } : undefined;
  } catch (thrown) {
    throw new LanekeeperError('LK_CONFIG', `${door}: its options threw when they were read: ${firstLine(thrown)}`);
  }
  if (!copy || Object.keys(copy).some((name) => !names.includes(name))) {
    throw wrongOption('LK_CONFIG', door, `{ ${names.join(', ')} }`, given);
  }
  for (const name of OPTIONS) {
    const value = copy[name];
    if (value !== undefined && typeof value !== 'string') throw wrongOption('LK_CONFIG', name, 'a text', value);
  }
  return copy;
}

export interface Door {
  redisUrl: string;
  prefix: string;
  lockUrls: readonly string[];
}

export function findRedis({ redis, prefix: ownPrefix }: DoorOptions): Door {
  const { REDIS_URL, LANEKEEPER_PREFIX, LANEKEEPER_LOCK_URLS } = process.env;
  const env = {
    REDIS_URL: redis ?? REDIS_URL,
    LANEKEEPER_PREFIX: ownPrefix ?? LANEKEEPER_PREFIX,
    LANEKEEPER_LOCK_URLS,
  };
  const { redisUrl, prefix, lockUrls } = readConfig(env, process.cwd());
  if (redisUrl) return { redisUrl, prefix, lockUrls };
  throw wrongOption('LK_CONFIG', 'redis', "an address such as 'redis://127.0.0.1:6379', or REDIS_URL", redis);
}
