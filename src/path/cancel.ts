// Takes a job out of its lane before it ran, and out of its agents' line. BullMQ's script refuses a job that is locked, so an attempt
// is never cut loose.

import type { LaneQueue } from '../store/lane-queue.ts';
import { takingOut } from '../store/taking-out.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { type Order, underIntent } from './audited.ts';
import { type JobView, showJob } from './inspect.ts';

const CANCELLABLE = ['waiting', 'parked', 'scheduled'];

/** Without an order it is a pod that carries one out, which is in the journal already. */
export async function cancelJob(laneQueue: LaneQueue, keys: Keys, id: string, order?: Order): Promise<JobView> {
  const job = await showJob(laneQueue, id);
  const takeOut = () => takingOut(laneQueue, id, () => removeJob(laneQueue, keys, id));
  const isRemoved =
    CANCELLABLE.includes(job.state) && (await (order ? told(laneQueue, job, order, takeOut) : takeOut()));
  if (isRemoved) return job;
  const { state } = CANCELLABLE.includes(job.state) ? await showJob(laneQueue, id) : job;
  throw new LanekeeperError(
    'LK_STATE',
    `job ${quote(id)} of lane ${quote(job.lane)} is ${state}: only ${CANCELLABLE.join(', ')} jobs can be cancelled`,
  );
}

function told(laneQueue: LaneQueue, { id, state, enqueuedAt }: JobView, order: Order, takeOut: () => Promise<boolean>) {
  const facts = { what: 'job.cancelled', job: id, before: state, seen: { enqueuedAt } } as const;
  return underIntent(laneQueue, { ...order, ...facts }, async () => {
    return (await takeOut()) ? { after: 'gone' } : { found: 'it was fetched just then, or taken out' };
  });
}

async function removeJob(
  { redis, backend, jobKey, lane, parkedKey }: LaneQueue,
  keys: Keys,
  id: string,
): Promise<boolean> {
  const fields = [JOB_FIELDS.place, JOB_FIELDS.agent, JOB_FIELDS.aside, JOB_FIELDS.gate];
  const [place, agent, aside, gate] = await redis.hmget(jobKey(id), ...fields);
  const isOut = (await backend.remove(id, false)) === 1;
  // Whoever dies in between leaves a name that whoever comes to it finds without a job, and takes out.
  if (isOut && place) await redis.zrem(keys.line(lane, agent || undefined), id).catch(() => {});
  if (isOut && gate) await redis.zrem(parkedKey(gate), id).catch(() => {});
  if (isOut && aside) await redis.zrem(keys.aside(lane), id).catch(() => {});
  return isOut;
}
