// What a job waits for whose owner was displaced: for whom, who has the lane meanwhile, and how many come back before it.

import type { LaneQueue } from '../store/lane-queue.ts';
import { toInstant } from '../words/clock.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { type Owner, sayOwner } from '../words/owner.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';
import { readFeeder } from './owned.ts';

export interface OwnerWait {
  /** Who fed it, and has to hold the lane again. */
  owner: Owner;
  /** Who had it last. */
  holder: (Owner & { untilAt: number }) | null;
  /** 1 comes back first; of all owners' jobs that lie aside. */
  place: number | null;
}

/** Undefined: it waits for nobody any more. */
export async function readOwnerWait(
  { redis, jobKey }: LaneQueue,
  keys: Keys,
  lane: Lane,
  job: string,
): Promise<OwnerWait | undefined> {
  const [fedBy, rank, [as, by, until]] = await Promise.all([
    redis.hget(jobKey(job), JOB_FIELDS.owner),
    redis.zrank(keys.aside(lane), job),
    redis.hmget(keys.owner(groupAddress(lane)), 'as', 'by', 'until'),
  ]);
  const owner = readFeeder(fedBy);
  if (!owner) return undefined;
  return {
    owner: { as: owner.as, by: owner.by },
    holder: as && by ? { as, by, untilAt: Number(until) } : null,
    place: rank === null ? null : rank + 1,
  };
}

export function sayOwnerWait(lane: string, { owner, holder }: OwnerWait): string {
  const taker = holder ? `, and ${sayOwner(holder)} took the lane (until ${toInstant(holder.untilAt)})` : '';
  const whose = `${owner.as}:${owner.by}`;
  return (
    `${sayOwner(owner)} fed it${taker}: it goes on when ${sayOwner(owner)} holds the lane again, or by ` +
    `'lanekeeper owner ${lane} adopt|drop --of ${whose} --reason ...'`
  );
}
