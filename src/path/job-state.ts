// What state a job is in, in our words. BullMQ's own sets are the truth; of a delayed job our gate field says whether it is
// parked (waits for something) or scheduled (waits for an instant).

import type { LaneQueue } from '../store/lane-queue.ts';
import { JOB_FIELDS } from '../words/keys.ts';

export const JOB_STATES = ['waiting', 'parked', 'scheduled', 'active', 'done', 'dead'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** The sets of BullMQ in which jobs of a state lie. */
export const SETS_OF_STATE = {
  waiting: ['wait', 'prioritized'],
  parked: ['delayed'],
  scheduled: ['delayed'],
  active: ['active'],
  done: ['completed'],
  dead: ['failed'],
} as const satisfies Record<JobState, readonly string[]>;

export function toState(bullState: string, gate: string | null | undefined): JobState | undefined {
  switch (bullState) {
    case 'wait':
    case 'waiting':
    case 'prioritized':
    case 'paused':
      return 'waiting';
    case 'delayed':
      return gate ? 'parked' : 'scheduled';
    case 'active':
      return 'active';
    case 'completed':
      return 'done';
    case 'failed':
      return 'dead';
    default:
      return undefined;
  }
}

export async function readState({ backend, redis, jobKey }: LaneQueue, id: string): Promise<JobState | undefined> {
  const [bullState, gate] = await Promise.all([backend.getState(id), redis.hget(jobKey(id), JOB_FIELDS.gate)]);
  return toState(bullState, gate);
}
