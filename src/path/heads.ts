// The heads of a lane's line: who has waited longest, and what should have left its gate by now. One command a lane, which costs
// the same for ten jobs and for a million.

import type { LaneQueue } from '../store/lane-queue.ts';
import { findHeads } from '../store/scripts/find-heads.ts';
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

/** `nowAt` is the time of Redis. */
export async function readHeads({ redis, backend }: LaneQueue, nowAt: number): Promise<Heads> {
  const { active, isPaused, due, waiting } = await findHeads.run(
    redis,
    {
      wait: backend.toKey('wait'),
      prioritized: backend.toKey('prioritized'),
      delayed: backend.toKey('delayed'),
      active: backend.toKey('active'),
      meta: backend.toKey('meta'),
    },
    { queue: backend.toKey(''), untilField: JOB_FIELDS.until, sinceField: JOB_FIELDS.since },
  );
  const heads = waiting.map(({ job, timestamp, opts, instants }) => ({
    job,
    sinceAt: Math.max(Number(timestamp) + delayOf(opts), ...instants.map(Number)),
  }));
  const late = due && due.sinceAt <= nowAt ? due : undefined;
  const [oldest] = [...heads, ...(late ? [late] : [])].sort((a, b) => a.sinceAt - b.sinceAt);
  return { oldest, late, active, isPaused };
}

/** In a lane with agents: who waits for a window although nobody may be there to claim it. They lie among the delayed, due or not. */
export async function readLined({ redis, backend, jobKey }: LaneQueue): Promise<Head | undefined> {
  const [job] = await redis.zrange(backend.toKey('delayed'), '0', '0');
  if (job === undefined) return undefined;
  const [gate, since] = await redis.hmget(jobKey(job), JOB_FIELDS.gate, JOB_FIELDS.since);
  return gate === 'cooldown' ? { job, sinceAt: Number(since) } : undefined;
}

/** As it was added: BullMQ sets the field `delay` to 0 once the job is due. */
function delayOf(opts: string | null): number {
  try {
    return Number((JSON.parse(opts ?? '{}') as { delay?: number }).delay ?? 0);
  } catch {
    return 0;
  }
}
