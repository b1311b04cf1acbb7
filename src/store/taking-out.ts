// A job that somebody takes out of its lane gives its reservation back: what was cancelled or dropped may be added again, where
// what is done may not.

import { JOB_FIELDS } from '../words/keys.ts';
import type { LaneQueue } from './lane-queue.ts';
import { freeReservation } from './scripts/free-reservation.ts';

/**
 * `takeOut` says whether it did. Dying between the two leaves the reservation to run out by itself, and so does a Redis that
 * refuses to free it: the job is out by then, and whoever took it must hear so, not ask again for what is gone.
 */
export async function takingOut(
  { redis, jobKey }: LaneQueue,
  id: string,
  takeOut: () => Promise<boolean>,
): Promise<boolean> {
  const reservation = await redis.hget(jobKey(id), JOB_FIELDS.same);
  const isOut = await takeOut();
  if (isOut && reservation) await freeReservation.run(redis, { reservation }, { id }).catch(() => {});
  return isOut;
}
