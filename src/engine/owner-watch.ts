// Looks every 2 s whether the term of an owner has run out, so that the journal tells it also where nobody asks; and keeps the lanes of
// its group known, so that whoever takes one takes all, also those that are not in their folder. One pod for all that run the same.

import { groupAddress, groupOf } from '../path/group.ts';
import type { Lane } from '../path/lane.ts';
import type { Redis } from '../store/connect.ts';
import { createSingleLocks } from '../store/ownership/locks-single.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { OwnerGroup } from '../words/owner.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

const LOOK_MS = 2_000;

export interface OwnerWatchOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  /** Exclusive ones. */
  lanes: readonly Lane[];
  events: EventHub;
}

export function createOwnerWatch({ pod, redis, keys, lanes, events }: OwnerWatchOptions): Beat {
  // One look for each group, whichever of its lanes it names.
  const groups = [...new Map(lanes.map((lane) => [keys.owner(groupAddress(lane)), groupOf(lane, lanes)])).values()];
  // The record says it, whoever decides.
  const locks = createSingleLocks({ redis, keys });

  async function look(group: OwnerGroup): Promise<void> {
    // Each time: Redis may have lost it.
    await redis.hset(keys.ownerLanes(group.address), group.lanes);
    await locks.look(group);
  }

  return createGuardedBeat({
    what: 'look for owners whose term has run out',
    everyMs: LOOK_MS,
    who: pod,
    redis,
    guard: keys.beat('owners', guardOf(lanes)),
    events,
    work: async () => void (await Promise.all(groups.map(look))),
  });
}
