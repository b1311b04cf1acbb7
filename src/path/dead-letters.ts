// The dead-letter store is the lane's failed set: nothing is copied, so nothing can be lost between two writes.

import type { MinimalJob } from 'bullmq';
import type { LaneQueue } from '../store/lane-queue.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { type JobView, listJobs, showJob } from './inspect.ts';

export function listDead(laneQueue: LaneQueue, limit: number): Promise<JobView[]> {
  return listJobs(laneQueue, ['dead'], limit);
}

export async function showDead(laneQueue: LaneQueue, id: string): Promise<JobView> {
  return expectDead(await showJob(laneQueue, id));
}

/**
 * Back into the line with all its attempts, the same id and its whole history. The count of parks is cleared before the
 * move: dying between the two leaves a dead letter that merely forgot how often it had met a limit.
 */
export async function replayDead(laneQueue: LaneQueue, id: string): Promise<JobView> {
  const letter = await showDead(laneQueue, id);
  await laneQueue.redis.hdel(
    laneQueue.jobKey(id),
    JOB_FIELDS.parks,
    JOB_FIELDS.gate,
    JOB_FIELDS.until,
    JOB_FIELDS.reason,
    'stc',
  );
  try {
    await laneQueue.backend.retryFinishedJob({ id, opts: {} } as unknown as MinimalJob, 'failed', {
      resetAttemptsMade: true,
    });
  } catch (error) {
    // Somebody was faster: say what it is now.
    expectDead(await showJob(laneQueue, id));
    throw error;
  }
  return letter;
}

function expectDead(job: JobView): JobView {
  if (job.state === 'dead') return job;
  throw new LanekeeperError('LK_STATE', `job ${quote(job.id)} of lane ${quote(job.lane)} is ${job.state}, not dead`);
}
