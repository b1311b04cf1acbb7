// Calls the jobs that are parked for a limit taken with the job (tokens, or their agent's own) when it becomes larger: their until
// was reckoned with the smaller one, and of a limit by the day lies hours ahead. They come one after the other and are asked anew;
// who finds no room is told a new instant. A call that is lost half-way loses nothing: the others come when they were told.

import type { LaneQueue } from '../store/lane-queue.ts';
import { callParked } from '../store/scripts/call-parked.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import type { Gate } from '../words/outcome.ts';
import { START_OF_WAIT, startOfWait } from './limit-lines.ts';

/** Asked and sent away again, a job costs Redis 0.2 ms: called in a row, they take 4 % of its time. */
const STEP_MS = 5;
const GATE: Gate = 'limit';
const PAGE = 200;
/** Of each lane, those that are due first; the others are called by nobody. */
const MAX_JOBS = 10_000;

export interface LimitCall {
  /** Of the lanes that name the upstream. */
  queues: readonly LaneQueue[];
  upstream: string;
  limit: string;
}

/** Answers how many come sooner. */
export function callForLimit({ queues, limit, upstream }: LimitCall): Promise<number> {
  return callParkedFor(queues, startOfWait(limit, upstream));
}

/** Those who met the answer that began a hold, or found it held: all that wait at that gate and not for a limit taken with them. */
export function callForHold(queues: readonly LaneQueue[]): Promise<number> {
  return callParkedFor(queues, START_OF_WAIT, true);
}

async function callParkedFor(queues: readonly LaneQueue[], reason: string, isOther = false): Promise<number> {
  const counts = await Promise.all(queues.map((queue) => callLane(queue, reason, isOther)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function callLane(
  { redis, backend, marker, jobKey, parkedKey }: LaneQueue,
  reason: string,
  isOther: boolean,
): Promise<number> {
  const delayed = backend.toKey('delayed');
  const ids = await redis.zrange(delayed, '0', String(MAX_JOBS - 1));
  const { gate, reason: reasonField, until } = JOB_FIELDS;
  let called = 0;
  for (let start = 0; start < ids.length; start += PAGE) {
    called += await callParked.run(
      redis,
      { delayed, marker, parked: parkedKey(GATE) },
      {
        jobs: jobKey(''),
        ids: JSON.stringify(ids.slice(start, start + PAGE)),
        fields: JSON.stringify({ gate, reason: reasonField, until }),
        gate: GATE,
        reason,
        isOther: isOther ? 1 : 0,
        startMs: called * STEP_MS,
        stepMs: STEP_MS,
      },
    );
  }
  return called;
}
