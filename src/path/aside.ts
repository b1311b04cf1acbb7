// What displaced owners fed, moved aside and back a page at a time. All of it again does no harm: whoever dies in the middle, the next
// goes on where it ended.

import type { LaneQueue } from '../store/lane-queue.ts';
import {
  asidePage,
  type BackOrder,
  backPage,
  type OwnedLane,
  type Page,
  WAITING_SETS,
} from '../store/ownership/aside.ts';
import { crashPoint } from '../words/crash-point.ts';
import type { Keys } from '../words/keys.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';

/** What moves in its set while it is walked (a window's new estimate) may be passed over: once more, until nothing is found. */
const MAX_WALKS = 5;

export function ownedLane(lane: Lane, laneQueue: LaneQueue, keys: Keys): OwnedLane {
  return { laneQueue, keys, lease: keys.owner(groupAddress(lane)) };
}

/** `head`: a line is walked only where its first page, which runs next, holds something to move. */
export type Reach = 'all' | 'head';

/** Everything that waits and whose owner was displaced. Answers how many were moved. */
export async function moveAside(owned: OwnedLane, reach: Reach = 'all'): Promise<number> {
  let count = 0;
  for (const set of WAITING_SETS) count += await walk((kept) => asidePage(owned, set, kept), reach);
  return count;
}

/**
 * What was fed by the owner that has the lane now, or what the order says. Answers how many; none while nobody can adopt. `moved` is
 * told of each page.
 */
export function bringBack(
  owned: OwnedLane,
  order: BackOrder = {},
  { reach = 'all', moved = async () => {} }: { reach?: Reach; moved?: (count: number) => Promise<void> } = {},
): Promise<number> {
  let tail = '';
  return walk(async (kept) => {
    const page = await backPage(owned, kept, tail, order);
    tail = page?.tail ?? '';
    if (page) await moved(page.moved);
    return page ?? { moved: 0, kept, isLast: true };
  }, reach);
}

async function walk(next: (kept: number) => Promise<Page>, reach: Reach): Promise<number> {
  let count = 0;
  for (let walks = 0; walks < MAX_WALKS; walks++) {
    const before = count;
    for (let kept = 0, isLast = false; !isLast; ) {
      crashPoint('before-aside');
      const page = await next(kept);
      crashPoint('after-aside');
      count += page.moved;
      kept = page.kept;
      isLast = page.isLast || (reach === 'head' && count === 0);
    }
    if (count === before) break;
  }
  return count;
}
