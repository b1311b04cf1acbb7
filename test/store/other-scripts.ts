// A connection whose scripts say something else than ours: what a twin takes away.

import { Redis } from 'ioredis';
import type { World } from '../support/world.ts';

export function sayingInstead(world: World, text: string, instead: string): { redis: Redis; changed: () => number } {
  const redis = new Redis(world.redisUrl, { maxRetriesPerRequest: null });
  world.defer(() => redis.disconnect());
  let changed = 0;
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, { lua, ...rest }) => {
    if (lua.includes(text)) changed++;
    define(name, { ...rest, lua: lua.replaceAll(text, () => instead) });
  };
  return { redis, changed: () => changed };
}
