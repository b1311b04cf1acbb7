// A process killed at each point between add, fetch, handler, step, hand-over, settle and bury: 200 runs, each chosen by its
// seed, each under a prefix of its own, and every job of each accounted for. The runs' waits for their locks (22 s) overlap.
// Short: six runs, one per kind of point. Reserve and add are one script, so no kill falls between them: test/store/reserve.
// A twin beside them, whose steps are done and never kept, must be convicted by the same judge.
//
// FAULTS_CRASH_SEED=n repeats run n alone.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import type { CrashPoint } from '../../../src/words/crash-point.ts';
import type { FaultOptions } from '../arena.ts';
import { makeCrashBuild } from '../crash/crash-build.ts';
import { type CrashRun, runCrash, type Site } from '../crash/crash-run.ts';
import { POINTS, toPlan } from '../crash/plan.ts';
import { startToldProcess, type ToldProcess } from '../crash/told-process.ts';
import { createEvidence, type Evidence } from '../evidence.ts';
import { createTurns } from '../harness/suite.ts';

const RUNS = 200;
/** Processes that start or are about to die, at once: each takes half a second of a core. */
const AT_ONCE = 3;
/** A run has up to four pods in the host, while it waits for its locks. */
const OPEN_AT_ONCE = 50;

/** Beyond those of the runs: a seed is a prefix of Redis. */
const TWIN_SEEDS = 10_000_000;

const KINDS_OF_POINT: CrashPoint[][] = [
  ['before-add', 'after-add'],
  ['after-fetch', 'before-handler', 'in-handler', 'after-handler'],
  ['in-step', 'before-step-write', 'after-step-write'],
  ['before-hand-over', 'after-hand-over'],
  ['before-settle', 'after-settle'],
  ['before-bury', 'after-bury'],
];

export async function run({ seed, short }: FaultOptions): Promise<Evidence> {
  const only = Number(process.env.FAULTS_CRASH_SEED);
  const seeds = only ? [only] : short ? oneOfEachKind(seed) : Array.from({ length: RUNS }, (_, index) => seed + index);
  const evidence = createEvidence(`killed at a point, ${seeds.length} runs`, seed);
  const startedAt = performance.now();
  const runs: CrashRun[] = [];
  try {
    await atSite(async (site) => {
      const open = createTurns(OPEN_AT_ONCE);
      const twin = only ? undefined : runTwin(site, seed, evidence);
      await Promise.all([
        twin,
        ...seeds.map((one) =>
          open(async () => {
            const { at, pass, victim } = toPlan(one);
            const where = `FAULTS_CRASH_SEED=${one}: ${victim} ${at} ${pass}`;
            try {
              const ended = await runCrash(one, site);
              runs.push(ended);
              if (ended.problems.length > 0) evidence.problems.push(`${where}: ${ended.problems.join('; ')}`);
            } catch (error) {
              evidence.problems.push(`${where}: broke off: ${(error as Error).message}`);
            }
          }),
        ),
      ]);
    });
  } catch (error) {
    evidence.problems.push(`broke off: ${(error as Error).message}`);
  }
  sumUp(evidence, runs, short || only > 0);
  evidence.tookMs = performance.now() - startedAt;
  return evidence;
}

/** The first seeds from here on whose points are of each kind. */
function oneOfEachKind(from: number): number[] {
  return KINDS_OF_POINT.map((points) => {
    let seed = from;
    while (!points.includes(toPlan(seed).at)) seed++;
    return seed;
  });
}

async function atSite(work: (site: Site) => Promise<void>): Promise<void> {
  const redisUrl = inject('redisUrl');
  const build = makeCrashBuild();
  const folder = await mkdtemp(join(tmpdir(), 'lanekeeper-crash-'));
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const { program } = build;
  try {
    await withHost(program, { REDIS_URL: redisUrl }, (host) =>
      work({ redisUrl, redis, host, program, folder, turn: createTurns(AT_ONCE) }),
    );
  } finally {
    redis.disconnect();
    await rm(folder, { recursive: true, force: true });
    build.remove();
  }
}

async function withHost(
  program: string,
  env: NodeJS.ProcessEnv,
  work: (host: ToldProcess) => Promise<void>,
): Promise<void> {
  const host = await startToldProcess(program, env);
  try {
    await work(host);
  } finally {
    host.kill();
    await host.exited;
  }
}

/** Killed right after a step is kept, by processes that keep none: the step is done again. */
async function runTwin(site: Site, from: number, evidence: Evidence): Promise<void> {
  let seed = from + TWIN_SEEDS;
  while (toPlan(seed).at !== 'after-step-write') seed++;
  const twin = 'forgetful';
  await withHost(site.program, { REDIS_URL: site.redisUrl, FAULTS_CRASH_TWIN: twin }, async (host) => {
    const { problems } = await runCrash(seed, { ...site, host, twin });
    const isConvicted = problems.some((problem) => problem.includes('was kept and done again'));
    evidence.prove(
      isConvicted,
      `twin: steps that are done and never kept are convicted (${problems.length} complaints)`,
    );
  });
}

function sumUp(evidence: Evidence, runs: readonly CrashRun[], isPart: boolean): void {
  const each = <T>(from: (run: CrashRun) => T[]) =>
    runs.flatMap((run) => from(run).map((item) => `${run.plan.seed}/${item}`));
  const count = (at: CrashPoint) => runs.filter(({ plan }) => plan.at === at).length;
  const covered = POINTS.filter((at) => count(at) > 0);
  evidence.accepted = runs.reduce((sum, { jobCount }) => sum + jobCount, 0);
  evidence.longestRerunMs = Math.max(0, ...runs.map(({ drainMs }) => drainMs)) || null;
  const repeated = each((run) => run.repeated);
  evidence.account = {
    done: new Set(each((run) => run.done)),
    dead: new Set(each((run) => run.dead)),
    lost: each((run) => run.lost),
    unfinished: each((run) => run.unfinished),
    unexpected: [],
    recovered: 0,
    settledTwice: each((run) => run.settledTwice),
    ranTwice: each((run) => run.again),
    effectsTwice: { bare: repeated, guarded: [] },
  };
  const isWhole = covered.length === POINTS.length;
  evidence.prove(isPart || isWhole, `killed at ${covered.map((at) => `${at} ${count(at)}x`).join(', ')}`);
  evidence.prove(
    isPart || repeated.length > 0,
    `${repeated.length} steps had their effect twice, each killed before its record; nothing else repeated`,
  );
}
