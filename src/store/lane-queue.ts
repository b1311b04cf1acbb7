// A lane's BullMQ queue: its keys by the wire contract, and BullMQ's own scripts (its backend) over a shared connection.
// We drive the backend instead of a BullMQ Worker because a Worker costs one blocking connection per lane and pod, decides
// by itself when to fetch, and stops renewing a job's lock before it settles it.

import { createRequire } from 'node:module';
import type { Queue as BullQueue, IQueueBackend, JobJson, QueueOptions } from 'bullmq';
import { systemClock } from '../words/clock.ts';
import type { Keys, LaneAddress } from '../words/keys.ts';
import type { Redis } from './connect.ts';

/** Its CommonJS is loaded in 0.09 s, its 170 modules in 0.16: every command waits for that. */
const { Queue } = createRequire(import.meta.url)('bullmq') as typeof import('bullmq');

/**
 * How long a fetched job stays ours without a sign of life. Twice the hang of Redis (8 s) that must start nothing twice,
 * and short enough that a killed pod's job runs again within 25 s.
 */
export const LOCK_MS = 20_000;
/** How often some pod looks for jobs whose lock ran out. */
export const SWEEP_MS = 2_000;
/** A job may lose this many pods; the next loss buries it as `stalled`. BullMQ's default of 1 blames bystanders. */
export const MAX_STALLS = 5;

export interface LaneQueue {
  readonly lane: LaneAddress;
  readonly queue: BullQueue;
  readonly backend: IQueueBackend;
  readonly redis: Redis;
  /** The stream of its tag, and the orders whose result is not in it yet. */
  readonly journal: string;
  readonly intents: string;
  /** Where the tags are known that have such orders. */
  readonly intentTags: string;
  /** The sorted set that says "there is work": BullMQ's workers and our bell block on it. */
  readonly marker: string;
  /** Ours, beside BullMQ's delayed set: who of it waits for what (words/keys). */
  readonly line: string;
  readonly lined: string;
  readonly aside: string;
  parkedKey(gate: string): string;
  jobKey(id: string): string;
  close(): Promise<void>;
}

export function openLaneQueue(redis: Redis, keys: Keys, lane: LaneAddress, podName?: string): LaneQueue {
  const options: QueueOptions & {
    lockDuration: number;
    stalledInterval: number;
    maxStalledCount: number;
    name?: string;
  } = {
    connection: redis,
    prefix: keys.queuePrefix(lane),
    lockDuration: LOCK_MS,
    // The key that keeps two sweeps apart must be gone when the next one is due.
    stalledInterval: SWEEP_MS / 2,
    maxStalledCount: MAX_STALLS,
    // A producer's connection refuses to wait, so the meta hash is written by whoever fetches.
    skipMetasUpdate: podName === undefined,
    skipWaitingForReady: true,
    ...(podName === undefined ? {} : { name: podName }),
  };
  const queue = new Queue(lane.name, options);
  // Errors of the shared connection are heard once, where it was opened.
  queue.on('error', () => {});
  const backend = queue.getBackend();
  return {
    lane,
    queue,
    backend,
    redis,
    journal: keys.journal(lane.tag),
    intents: keys.intents(lane.tag),
    intentTags: keys.intentTags(),
    marker: backend.toKey('marker'),
    line: keys.line(lane),
    lined: keys.lined(lane),
    aside: keys.aside(lane),
    parkedKey: (gate) => keys.parked(lane, gate),
    jobKey: (id) => backend.toKey(id),
    close: () => queue.close(),
  };
}

/** Back to the head of its line, as if it had not been fetched. */
export async function returnJob({ backend, redis, marker }: LaneQueue, job: FetchedJob, token: string): Promise<void> {
  await backend.moveJobFromActiveToWait(job.id, token);
  // BullMQ rings no bell when it pushes back a job with a priority: without this, others look again only after 5 s.
  if (job.priority) await redis.zadd(marker, 0, '0');
}

/** What a fetch, or a settle that fetches, answers. */
export interface Fetched {
  job: FetchedJob | undefined;
  /** With no job: when the next delayed one is due, epoch ms; 0 when there is none. */
  nextAt: number;
}

export type FetchedJob = JobJson & { id: string };

/** BullMQ's reply is positional: [job, id, rate limit in ms, next delayed instant]. Decoded here and nowhere else. */
export function toFetched(reply: unknown): Fetched {
  const [job, id, limitMs, nextAt] = (Array.isArray(reply) ? reply : []) as [JobJson?, string?, number?, number?];
  if (job && id) {
    job.id = id;
    return { job: job as FetchedJob, nextAt: 0 };
  }
  return { job: undefined, nextAt: (limitMs ?? 0) > 0 ? systemClock.now() + (limitMs as number) : (nextAt ?? 0) };
}

/** BullMQ's codes for "this job is not yours (any more)": gone, no lock, not active, another's lock. */
export function isNotOurs(error: unknown): boolean {
  return [-1, -2, -3, -6].includes((error as { code?: number }).code ?? 0);
}
