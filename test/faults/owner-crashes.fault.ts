// Runs in which exclusive lanes change hands and a process is killed at each point between add (the reservation is of the same script),
// take and revoke (setting aside, parking, settling). A twin without the checks is convicted by the same judge.
//
// Five for each point by default, a good minute, so that all faults together stay short; before a release make FAULTS_OWNER_RUNS=500, in
// five minutes. FAULTS_OWNER_FROM=n begins with run n; FAULTS_OWNER_SEED=n repeats run n alone.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, inject, it } from 'vitest';
import { makeCrashBuild } from './crash/crash-build.ts';
import type { Site } from './crash/crash-run.ts';
import { OWNER_POINTS, type OwnerRun, runOwners } from './crash/owner-run.ts';
import { startToldProcess } from './crash/told-process.ts';
import { createTurns } from './harness/suite.ts';

const RUNS = Number(process.env.FAULTS_OWNER_RUNS) || 5 * OWNER_POINTS.length;
const FROM = Number(process.env.FAULTS_OWNER_FROM) || 1;
const ONLY = Number(process.env.FAULTS_OWNER_SEED);
const OPEN_AT_ONCE = 40;
const TWIN_RUNS = 3;

it(`${RUNS} runs with a crash at every point between reserve, add, take and revoke`, {
  timeout: 1_800_000,
}, async () => {
  const redisUrl = inject('redisUrl');
  const build = makeCrashBuild();
  const folder = await mkdtemp(join(tmpdir(), 'lanekeeper-owners-'));
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const program = join(build.folder, 'test', 'faults', 'crash', 'owner-process.js');
  try {
    const turn = createTurns(3);
    const play = async (seeds: readonly number[], twin?: string): Promise<(OwnerRun & { seed: number })[]> => {
      const host = await startToldProcess(program, { REDIS_URL: redisUrl, FAULTS_CRASH_TWIN: twin });
      const site: Site = { redisUrl, redis, host, program, folder, twin, turn };
      const open = createTurns(OPEN_AT_ONCE);
      const broken = (seed: number, error: Error): OwnerRun & { seed: number } => {
        const problems = [`broke off: ${error.message}`];
        return { seed, at: 'before-add', died: false, jobs: 0, again: 0, problems };
      };
      try {
        return await Promise.all(
          seeds.map((seed) =>
            open(() =>
              runOwners(seed, site).then(
                (run) => ({ seed, ...run }),
                (error) => broken(seed, error as Error),
              ),
            ),
          ),
        );
      } finally {
        host.kill();
        await host.exited;
      }
    };
    const runs = await play(ONLY ? [ONLY] : Array.from({ length: RUNS }, (_, index) => FROM + index));
    const wrong = runs.filter(({ problems }) => problems.length > 0);
    const count = (at: string) => runs.filter((run) => run.at === at && run.died).length;
    console.log(`${runs.length} runs, ${runs.reduce((sum, { jobs }) => sum + jobs, 0)} jobs,`);
    console.log(
      `${runs.reduce((sum, { again }) => sum + again, 0)} attempts cut off; killed`,
      OWNER_POINTS.map((at) => `${at} ${count(at)}x`).join(', '),
    );
    expect(wrong.slice(0, 5).map(({ seed, problems }) => `FAULTS_OWNER_SEED=${seed}: ${problems.join('; ')}`)).toEqual(
      [],
    );
    if (ONLY) return;
    const twins = await play(
      Array.from({ length: TWIN_RUNS }, (_, index) => 100_000 + index * OWNER_POINTS.length),
      'blind',
    );
    const convicted = twins.filter(({ problems }) => problems.some((problem) => problem.includes('had the lane')));
    expect(convicted.length, 'twins without the checks are convicted').toBeGreaterThan(0);
  } finally {
    redis.disconnect();
    await rm(folder, { recursive: true, force: true });
    build.remove();
  }
});
