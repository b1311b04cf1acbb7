// An upstream with limits whose state counts as known: the first pod of all waits for one interval otherwise.

import { defineUpstream } from '../../src/index.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import type { World } from '../support/world.ts';

export async function knownUpstream(world: World, url: string, limits: LimitOptions[]) {
  await world.redis.hset(world.keys.limits('api'), 'born', 1);
  return defineUpstream({ name: 'api', baseUrl: url, ...(limits.length > 0 && { limits }) });
}
