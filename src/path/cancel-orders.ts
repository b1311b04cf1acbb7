// Orders to cancel jobs that run: one small hash for the whole fleet, which every pod reads. An order stays until it is carried
// out or void, so it also reaches a pod that takes the job over, or one that starts later.

import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import { underIntent } from './audited.ts';
import { cancelJob } from './cancel.ts';
import { type JobView, showJob } from './inspect.ts';

/** A pod looks every 500 ms and settles at once; what is not done after six looks is not about to be done. */
const ANSWER_WITHIN_MS = 3_000;
const ASK_AGAIN_MS = 50;
/** Nobody reads an order once every pod is gone. */
const FORGET_MS = 24 * 3_600_000;
/** Orders are carried out within a second; so many open ones mean that no pod runs, and each pod reads them all. */
const MAX_OPEN = 1_000;

export interface CancelOrder {
  lane: string;
  job: string;
  /** Of the job that is meant: the same key may make the same id again. */
  enqueuedAt: number;
  who: string;
  reason: string | null;
  orderedAt: number;
  /** Of this order. */
  intent: string;
}

export async function readCancelOrders(redis: Redis, keys: Keys): Promise<CancelOrder[]> {
  return (await redis.hvals(keys.cancels())).map((json) => JSON.parse(json) as CancelOrder);
}

export async function findCancelOrder(redis: Redis, keys: Keys, job: JobView): Promise<CancelOrder | undefined> {
  const json = await redis.hget(keys.cancels(), fieldOf(job.lane, job.id));
  const order = json === null ? undefined : (JSON.parse(json) as CancelOrder);
  return order?.enqueuedAt === job.enqueuedAt ? order : undefined;
}

export async function withdrawCancelOrder(redis: Redis, keys: Keys, lane: string, job: string): Promise<void> {
  await redis.hdel(keys.cancels(), fieldOf(lane, job));
}

function fieldOf(lane: string, job: string): string {
  return `${lane}/${job}`;
}

export interface CancelRequest {
  laneQueue: LaneQueue;
  keys: Keys;
  id: string;
  who: string;
  reason: string | null;
  clock: Clock;
}

/** `by` says who journalled its end: this call, which took the job out itself, or the pod that ended it. */
export interface Cancelled {
  job: JobView;
  by: 'caller' | 'pod';
}

/**
 * Takes a job out of its lane whatever it does. One that runs is ended by its pod; whether it did is seen at the job itself.
 * Dying in between leaves the order, which is carried out all the same.
 */
export async function cancelAnyJob(request: CancelRequest): Promise<Cancelled> {
  const { laneQueue, keys, id, who, reason, clock } = request;
  const { redis } = laneQueue;
  const job = await showJob(laneQueue, id);
  if (job.state !== 'active') return cancelOrRunning(request, job);

  if ((await redis.hlen(keys.cancels())) >= MAX_OPEN) {
    throw new LanekeeperError(
      'LK_STATE',
      `expected fewer than ${MAX_OPEN} open cancel orders: no pod carries them out`,
    );
  }
  const { lane, enqueuedAt } = job;
  const facts = { what: 'cancel.ordered', job: id, before: job.state, seen: { enqueuedAt } } as const;
  await underIntent(laneQueue, { ...facts, who, reason }, async (intent) => {
    const order: CancelOrder = { lane, job: id, enqueuedAt, who, reason, orderedAt: clock.now(), intent };
    await redis
      .multi()
      .hset(keys.cancels(), fieldOf(lane, id), JSON.stringify(order))
      .pexpire(keys.cancels(), FORGET_MS)
      .exec();
    return { after: 'ordered' };
  });

  const startedAt = clock.mono();
  let now: JobView | undefined = job;
  while (clock.mono() - startedAt < ANSWER_WITHIN_MS) {
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    now = await showJob(laneQueue, id).catch(ifGone);
    // Removed, or made anew by its key.
    if (now?.enqueuedAt !== job.enqueuedAt) return { job, by: 'pod' };
    if (now.state === 'active') continue;
    try {
      await cancelJob(laneQueue, keys, id, { who, reason }); // it was retried or given back just then, or it has ended
      await withdrawCancelOrder(redis, keys, job.lane, id);
      return { job: now, by: 'caller' };
    } catch (error) {
      now = await showJob(laneQueue, id).catch(ifGone);
      if (now?.enqueuedAt !== job.enqueuedAt) return { job, by: 'pod' };
      if (now.state === 'active') continue;
      await withdrawCancelOrder(redis, keys, job.lane, id);
      throw error;
    }
  }
  throw new LanekeeperError(
    'LK_STATE',
    `job ${quote(id)} of lane ${quote(job.lane)} is still active: its pod ${now?.pod ?? 'unknown'} did not answer within ` +
      `${ANSWER_WITHIN_MS / 1_000} s (frozen or dead); the order stands, and whoever takes the job over, within 25 s, ` +
      `carries it out: look again with 'lanekeeper why ${job.lane} ${id}'`,
  );
}

/** A pod may fetch it between the look and the removal: then it is an active job after all. */
async function cancelOrRunning(request: CancelRequest, job: JobView): Promise<Cancelled> {
  try {
    return { job: await cancelJob(request.laneQueue, request.keys, job.id, request), by: 'caller' };
  } catch (error) {
    const now = await showJob(request.laneQueue, job.id);
    if (now.state === 'active') return cancelAnyJob(request);
    throw error;
  }
}

function ifGone(error: unknown): undefined {
  if (error instanceof LanekeeperError && error.code === 'LK_UNKNOWN') return undefined;
  throw error;
}
