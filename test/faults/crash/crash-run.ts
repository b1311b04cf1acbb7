// One run, from its seed to its judgement: jobs are added round by round until the process that is to die is dead; another
// takes its place; everything drains; what is left in Redis and in the record is judged.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { until } from '../harness/until.ts';
import { type Judgement, judge } from './judge.ts';
import { type Plan, toPlan } from './plan.ts';
import type { PlannedJob } from './process.ts';
import { readLines } from './record.ts';
import { countUnended, removeAll, takeSnapshot } from './snapshot.ts';
import { startToldProcess, type ToldProcess } from './told-process.ts';

/** What all runs share. */
export interface Site {
  redisUrl: string;
  redis: Redis;
  /** A process of the crash build in which nothing dies: it hosts the other pods and producers of all runs. */
  host: ToldProcess;
  program: string;
  folder: string;
  /** Told to every process: FAULTS_CRASH_TWIN. */
  twin?: string | undefined;
  /** So few processes are starting or being killed at once. */
  turn<T>(work: () => Promise<T>): Promise<T>;
}

export interface CrashRun extends Judgement {
  plan: Plan;
  jobCount: number;
  /** From the crash to the end of the last job. */
  drainMs: number;
}

/** A round has 7 jobs or more, and a pod that dies shares them with two others at most. */
const MAX_ROUNDS = 20;
const ROUND_MS = 30_000;
/** The lock's 20 s, the sweep's 2 s, and a crowded machine. */
const DRAIN_MS = 60_000;

export async function runCrash(seed: number, site: Site, plan = toPlan(seed)): Promise<CrashRun> {
  const prefix = `crash-${seed}`;
  const record = join(site.folder, `${prefix}.jsonl`);
  writeFileSync(record, '');
  const jobs: PlannedJob[] = [];
  const { host, redis } = site;
  try {
    await site.turn(() => crash(plan, site, prefix, record, jobs));
    const crashedAt = performance.now();
    await host.tell({ do: 'pod', prefix, record, concurrency: 4 });
    if (plan.victim === 'producer') await repeatCalls(plan, site, prefix, record, jobs);
    await until('every job ends', DRAIN_MS, async () => (await countUnended(redis, prefix)) === 0);
    const drainMs = performance.now() - crashedAt;
    // A pod that stops has written its journal.
    await host.tell({ do: 'stop', prefix, record });
    const judgement = judge({ plan, jobs, lines: readLines(record), snapshot: await takeSnapshot(redis, prefix) });
    return { plan, jobCount: jobs.length, drainMs, ...judgement };
  } finally {
    await host.tell({ do: 'stop', prefix, record });
    await removeAll(redis, prefix);
  }
}

async function crash(plan: Plan, site: Site, prefix: string, record: string, jobs: PlannedJob[]): Promise<void> {
  const { host, redis } = site;
  const victim = await startToldProcess(site.program, {
    REDIS_URL: site.redisUrl,
    FAULTS_CRASH_AT: plan.at,
    FAULTS_CRASH_PASS: String(plan.pass),
    FAULTS_CRASH_RECORD: record,
    FAULTS_CRASH_TWIN: site.twin,
  });
  try {
    const bystanders = plan.victim === 'pod' ? plan.pods - 1 : plan.pods;
    // The pod first: with its jobs shared, it might never come to its point.
    if (plan.victim === 'pod') await victim.tell({ do: 'pod', prefix, record, concurrency: plan.concurrency });
    for (let pod = 0; pod < bystanders; pod++) await host.tell({ do: 'pod', prefix, record, concurrency: 1 });
    for (let index = 0; victim.exit === undefined && index < MAX_ROUNDS; index++) {
      const round = plan.round(index);
      jobs.push(...round);
      const adder = plan.victim === 'producer' ? victim : host;
      const added = adder.tell({ do: 'add', prefix, record, jobs: round, asList: plan.asList });
      await Promise.race([added, victim.exited]);
      if (adder === host) await added;
      await until('the process dies, or has nothing more to do', ROUND_MS, async () => {
        return victim.exit !== undefined || (await countUnended(redis, prefix)) === 0;
      }).catch(() => {}); // what a dead pod holds and what a live one waits for look alike from here
    }
    if (victim.exit !== 'SIGKILL')
      throw new Error(`expected a crash ${plan.at}, pass ${plan.pass}; got ${victim.exit}`);
  } finally {
    victim.kill();
    await victim.exited;
  }
}

/** As a caller does that heard no answer: the same calls with the same keys; without a key, those it has no answer for. */
async function repeatCalls(plan: Plan, site: Site, prefix: string, record: string, jobs: PlannedJob[]): Promise<void> {
  const heard = new Set(readLines(record).flatMap((line) => (line.what === 'accepted' ? [line.n] : [])));
  const again = jobs.filter(({ n, key, lane }) => key !== undefined || lane === 'same' || !heard.has(n));
  await site.host.tell({ do: 'add', prefix, record, jobs: again, asList: plan.asList });
}
