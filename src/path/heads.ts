// The heads of a lane's line: who has waited longest, and what should have left its gate by now. It looks at the ends of lists and
// sorted sets only, so it costs the same for ten jobs and for a million.

import type { LaneQueue } from '../store/lane-queue.ts';
import { JOB_FIELDS } from '../words/keys.ts';

export interface Head {
  job: string;
  /** The instant at which it could have run. */
  sinceAt: number;
}

export interface Heads {
  /** Of what could run now; undefined when nothing waits. */
  oldest: Head | undefined;
  /** The parked or scheduled job that was due first, once its instant has passed. */
  late: Head | undefined;
  active: number;
  isPaused: boolean;
}

/** BullMQ's scores: priority * 2^32 + counter, and ms * 2^12 + counter. */
const PRIORITY_STEP = 2 ** 32;
const DELAY_STEP = 2 ** 12;

/**
 * Three jobs are looked at: the next of the wait list, the next of the ranked, and the first of the lowest rank, which starves when
 * others keep coming. `nowAt` is the time of Redis.
 */
export async function readHeads({ redis, backend, jobKey }: LaneQueue, nowAt: number): Promise<Heads> {
  const [prioritized, delayed] = [backend.toKey('prioritized'), backend.toKey('delayed')];
  const replies = await redis
    .pipeline()
    .lindex(backend.toKey('wait'), '-1')
    .zrange(prioritized, '0', '0')
    .zrange(prioritized, '-1', '-1', 'WITHSCORES')
    .zrange(delayed, '0', '0', 'WITHSCORES')
    .llen(backend.toKey('active'))
    .hexists(backend.toKey('meta'), 'paused')
    .exec();
  const [next, ranked, lowest, due, active, paused] = (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  }) as [string | null, string[], string[], string[], number, number];

  const lowestRank = Math.floor(Number(lowest[1] ?? 0) / PRIORITY_STEP) * PRIORITY_STEP;
  const starving = lowest.length > 0 ? await redis.zrangebyscore(prioritized, lowestRank, '+inf', 'LIMIT', 0, 1) : [];
  const jobs = [...new Set([...(next === null ? [] : [next]), ...ranked, ...starving])];
  const read = jobs.map(async (job) => {
    const fields = [JOB_FIELDS.until, JOB_FIELDS.since];
    const [timestamp, opts, ...instants] = await redis.hmget(jobKey(job), 'timestamp', 'opts', ...fields);
    // Taken and removed since it was seen at the head.
    if (!timestamp) return [];
    return [{ job, sinceAt: Math.max(Number(timestamp) + delayOf(opts), ...instants.map(Number)) }];
  });
  const heads = (await Promise.all(read)).flat();
  const dueAt = Math.floor(Number(due[1] ?? Number.POSITIVE_INFINITY) / DELAY_STEP);
  const late = due[0] !== undefined && dueAt <= nowAt ? { job: due[0], sinceAt: dueAt } : undefined;
  const [oldest] = [...heads, ...(late ? [late] : [])].sort((a, b) => a.sinceAt - b.sinceAt);
  return { oldest, late, active, isPaused: paused === 1 };
}

/** As it was added: BullMQ sets the field `delay` to 0 once the job is due. */
function delayOf(opts: string | null | undefined): number {
  try {
    return Number((JSON.parse(opts ?? '{}') as { delay?: number }).delay ?? 0);
  } catch {
    return 0;
  }
}
