// A Redis of the test's own, for what would disturb its neighbours: freezing it, filling it, counting who is connected.

import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ROOT } from '../../scripts/prepare.js';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import type { World } from '../support/world.ts';

export async function privateRedis(world: World): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({
    dataDir: await world.folder(),
    cacheDir: join(ROOT, '.lanekeeper', 'server'),
    say: () => {},
  });
  world.defer(() => redis.stop());
  return redis;
}

/** A connection for looking and for setting things. */
export function adminOf(world: World, { url }: EmbeddedRedis): Redis {
  const admin = new Redis(url, { maxRetriesPerRequest: null });
  admin.on('error', () => {});
  world.defer(() => admin.disconnect());
  return admin;
}
