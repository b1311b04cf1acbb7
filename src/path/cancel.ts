// Takes a job out of its lane before it ran. BullMQ's script refuses a job that is locked, so an attempt is never cut loose.

import type { LaneQueue } from '../store/lane-queue.ts';
import { takingOut } from '../store/taking-out.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import { type JobView, showJob } from './inspect.ts';

const CANCELLABLE = ['waiting', 'parked', 'scheduled'];

export async function cancelJob(laneQueue: LaneQueue, id: string): Promise<JobView> {
  const job = await showJob(laneQueue, id);
  const isRemoved =
    CANCELLABLE.includes(job.state) &&
    (await takingOut(laneQueue, id, async () => (await laneQueue.backend.remove(id, false)) === 1));
  if (isRemoved) return job;
  const { state } = CANCELLABLE.includes(job.state) ? await showJob(laneQueue, id) : job;
  throw new LanekeeperError(
    'LK_STATE',
    `job ${quote(id)} of lane ${quote(job.lane)} is ${state}: only ${CANCELLABLE.join(', ')} jobs can be cancelled`,
  );
}
