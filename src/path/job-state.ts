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

/** A job's state and, while it waits for one, its instant; undefined when there is no such job. */
export async function readStanding(
  { backend, redis, jobKey }: LaneQueue,
  id: string,
): Promise<{ state: JobState; startsAt: number | null } | undefined> {
  const [bullState, [gate, until, timestamp, delay]] = await Promise.all([
    backend.getState(id),
    redis.hmget(jobKey(id), JOB_FIELDS.gate, JOB_FIELDS.until, 'timestamp', 'delay'),
  ]);
  const state = toState(bullState, gate);
  if (!state) return undefined;
  const isWaiting = (state === 'parked' && gate !== 'owner') || state === 'scheduled';
  return { state, startsAt: isWaiting ? Number(until || Number(timestamp) + Number(delay)) : null };
}
