// Moves aside what still waits when an owner was displaced, and back what waits for the owner that holds its lane again. The take did so
// with what ran; admission does it with what a pod fetches first. One pod does it for all, in pages, once for each token. What comes
// in since by the door is its owner's; what somebody put there by hand is seen at the head of its line, before it would run.

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
/** The head of each line is looked at again after so long: four pages a lane, however much waits. */
const HEAD_MS = 60_000;

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
      for (const { lane, laneQueue } of lanes) await moveAsideAndBack(lane, laneQueue);
    },
  });

  /** Two reads while nothing has changed hands. */
  async function moveAsideAndBack(lane: Lane, laneQueue: LaneQueue): Promise<void> {
    const owned = ownedLane(lane, laneQueue, keys);
    const [token, done] = await Promise.all([redis.hget(owned.lease, 'token'), redis.get(keys.asideDone(lane))]);
    if (token === null) return;
    const due = `${token} ${lane.displaced}`;
    if (due === done && !(await isHeadDue(lane))) return;
    const reach = due === done ? 'head' : 'all';
    const aside = lane.displaced === 'park' ? await moveAside(owned, reach) : 0;
    if (aside > 0) events.emit('jobs.displaced', { lane: lane.name, count: aside });
    const back = await bringBack(owned, lane.displaced === 'drain' ? { all: true } : {}, { reach });
    if (back > 0) events.emit('jobs.returned', { lane: lane.name, count: back });
    // Of the token that was seen: whoever took the lane meanwhile is seen to by the next beat.
    if (reach === 'all') await redis.set(keys.asideDone(lane), due);
  }

  async function isHeadDue({ name }: Lane): Promise<boolean> {
    return (await redis.set(keys.beat('aside-head', name), pod, 'PX', HEAD_MS, 'NX')) !== null;
  }

  for (const tag of new Set(lanes.map(({ lane }) => lane.tag)))
    notices.on(keys.ownerNotice(tag), () => void beat.once());
  return beat;
}
