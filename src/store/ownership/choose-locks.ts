// Which driver decides who owns a lane: the lock servers, where LANEKEEPER_LOCK_URLS names them.

import { systemClock } from '../../words/clock.ts';
import type { Keys } from '../../words/keys.ts';
import type { Redis } from '../connect.ts';
import { createQuorumLocks } from './locks-quorum.ts';
import { createSingleLocks } from './locks-single.ts';
import type { OwnerLocks } from './owner-locks.ts';

export function chooseLocks(redis: Redis, keys: Keys, lockUrls: readonly string[]): OwnerLocks {
  if (lockUrls.length === 0) return createSingleLocks({ redis, keys });
  return createQuorumLocks({ redis, keys, urls: lockUrls, clock: systemClock });
}
