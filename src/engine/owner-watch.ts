// Looks every 2 s whether the term of an owner has run out, so that the journal tells it also where nobody asks: one pod for all that
// run the same lanes.

import { groupAddress, groupOf } from '../path/group.ts';
import type { Lane } from '../path/lane.ts';
import type { Redis } from '../store/connect.ts';
import { createSingleLocks } from '../store/ownership/locks-single.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

const LOOK_MS = 2_000;

export interface OwnerWatchOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  lanes: readonly Lane[];
  events: EventHub;
}

export function createOwnerWatch({ pod, redis, keys, lanes, events }: OwnerWatchOptions): Beat {
  const exclusive = lanes.filter(({ ownership }) => ownership === 'exclusive');
  // One look for each group, whichever of its lanes it names.
  const groups = [
    ...new Map(exclusive.map((lane) => [keys.owner(groupAddress(lane)), groupOf(lane, exclusive)])).values(),
  ];
  // The record says it, whoever decides.
  const locks = createSingleLocks({ redis, keys });
  const beat = createGuardedBeat({
    what: 'look for owners whose term has run out',
    everyMs: LOOK_MS,
    who: pod,
    redis,
    guard: keys.beat('owners', guardOf(exclusive)),
    events,
    work: async () => void (await Promise.all(groups.map((group) => locks.look(group)))),
  });
  // Without such lanes it costs nothing.
  return groups.length > 0 ? beat : { ...beat, start() {} };
}
