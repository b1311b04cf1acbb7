// Moves aside what still waits when an owner was displaced, and back what waits for the owner that holds its lane again. The take did so
// with what ran; admission does it with what a pod fetches first. One pod does it for all, in pages, once for each token.

import { bringBack, moveAside, ownedLane } from '../path/aside.ts';
import type { Lane } from '../path/lane.ts';
import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Notices } from '../store/notices.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

const EVERY_MS = 1_000;
/** Looked through again after so long, whatever is known: somebody may have moved jobs by hand meanwhile. */
const DONE_MS = 60_000;

export interface AsideOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  notices: Notices;
  events: EventHub;
  /** Exclusive ones. */
  lanes: readonly { lane: Lane; laneQueue: LaneQueue }[];
}

export function createAsideMover({ pod, redis, keys, notices, events, lanes }: AsideOptions): Beat {
  const beat = createGuardedBeat({
    what: 'move what displaced owners fed',
    who: pod,
    redis,
    guard: keys.beat('aside', guardOf(lanes.map(({ lane }) => lane))),
    everyMs: EVERY_MS,
    events,
    async work() {
      for (const { lane, laneQueue } of lanes) await moveAsideAndBack(lane, laneQueue, keys, events);
    },
  });
  for (const tag of new Set(lanes.map(({ lane }) => lane.tag)))
    notices.on(keys.ownerNotice(tag), () => void beat.once());
  return beat;
}

/** Two reads while nothing has changed hands. */
async function moveAsideAndBack(lane: Lane, laneQueue: LaneQueue, keys: Keys, events: EventHub): Promise<void> {
  const { redis } = laneQueue;
  const owned = ownedLane(lane, laneQueue, keys);
  const [token, done] = await Promise.all([redis.hget(owned.lease, 'token'), redis.get(keys.asideDone(lane))]);
  if (token === null || token === done) return;
  const aside = lane.displaced === 'park' ? await moveAside(owned) : 0;
  if (aside > 0) events.emit('jobs.displaced', { lane: lane.name, count: aside });
  const back = await bringBack(owned, lane.displaced === 'drain' ? { all: true } : {});
  if (back > 0) events.emit('jobs.returned', { lane: lane.name, count: back });
  // Of the token that was seen: whoever took the lane meanwhile is seen to by the next beat.
  await redis.set(keys.asideDone(lane), token, 'PX', DONE_MS);
}
