// Five pods and two people fight for one group of exclusive lanes, while who is killed (and begins anew) and who is stopped for 1 to 15 s
// is drawn by a seed. What is handed back was seen from outside: the people's histories, and what the upstream recorded.

import { join } from 'node:path';
import { ROOT } from '../../../scripts/prepare.js';
import type { Effect } from '../../../src/simulator/effects.ts';
import type { World } from '../../support/world.ts';
import { type ArenaPod, startProcess } from '../harness/pods.ts';
import { createRandom, lasts, until } from '../harness/until.ts';
import { startUpstream, type UpstreamProcess } from '../limits/upstream-process.ts';
import { type Line, readHistory } from './history.ts';

const HERE = join(ROOT, 'test', 'faults', 'ownership');
const PODS = ['pod-1', 'pod-2', 'pod-3', 'pod-4', 'pod-5'];
const PEOPLE = ['ann', 'ben'];
/** So many of each kind may be stopped or gone at once, or nobody fights. */
const MAX_DOWN = { pod: 3, person: 1 };
/** From one blow to the next. */
const PAUSE_MS = [300, 1_200] as const;
const STOP_MS = [1_000, 15_000] as const;
const KILLED = 0.35;
/** For who was stopped to the end to send what it had begun. */
const AFTER_MS = 2_000;

export interface FightOptions {
  seed: number;
  forMs: number;
  /** Whether the upstream refuses a token lower than the highest it saw. */
  checkFence: boolean;
}

export interface Fight {
  lines: Line[];
  effects: Effect[];
  /** By the upstream, for its fence. */
  refused: number;
  /** Tokens lower than one before, among what the upstream accepted, by its judge. */
  decreases: number;
  kills: number;
  stops: number;
}

interface Fighter {
  kind: 'pod' | 'person';
  process: ArenaPod;
  isDown: boolean;
  /** With what it begins anew. */
  begin(): Promise<ArenaPod>;
}

export async function fight(world: World, { seed, forMs, checkFence }: FightOptions): Promise<Fight> {
  const random = createRandom(seed);
  const between = ([low, high]: readonly [number, number]) => low + random() * (high - low);
  const upstream = await startUpstream([], '60ms');
  world.defer(() => upstream.stop());
  await upstream.configure({ checkFence });
  const folder = await world.folder();
  const fileOf = (who: string) => join(folder, `${who}.jsonl`);
  const everybody = [
    ...PODS.map((label) => ({ kind: 'pod' as const, begin: () => startPod(world, upstream, label) })),
    ...PEOPLE.map((who, index) => {
      // Each draws by itself: who begins anew takes no number from the others.
      const drawn = createRandom(seed + 1 + index);
      return { kind: 'person' as const, begin: () => startPerson(world, who, drawn(), fileOf(who)) };
    }),
  ];
  const fighters: Fighter[] = await Promise.all(
    everybody.map(async (one) => ({ ...one, isDown: false, process: await one.begin() })),
  );
  let [kills, stops] = [0, 0];
  const blows: Promise<void>[] = [];

  async function strike(fighter: Fighter, isKill: boolean, stopMs: number): Promise<void> {
    fighter.isDown = true;
    if (isKill) {
      kills++;
      fighter.process.signal('SIGKILL');
      await fighter.process.exited;
      fighter.process = await fighter.begin();
    } else {
      stops++;
      fighter.process.signal('SIGSTOP');
      await lasts(stopMs);
      fighter.process.signal('SIGCONT');
    }
    fighter.isDown = false;
  }

  const endsMono = performance.now() + forMs;
  while (performance.now() < endsMono) {
    await lasts(between(PAUSE_MS));
    // Drawn whatever comes of them, so that a seed draws the same for everybody.
    const [whom, isKill, stopMs] = [random(), random() < KILLED, between(STOP_MS)];
    const standing = fighters.filter((one) => !one.isDown && !one.process.exit);
    const open = standing.filter(({ kind }) => {
      return fighters.filter((one) => one.kind === kind && one.isDown).length < MAX_DOWN[kind];
    });
    const victim = open[Math.floor(whom * open.length)];
    if (victim) blows.push(strike(victim, isKill, Math.min(stopMs, endsMono - performance.now() + 1_000)));
  }
  await Promise.all(blows);
  await lasts(AFTER_MS);
  for (const { process } of fighters) process.signal('SIGKILL');
  await Promise.all(fighters.map(({ process }) => process.exited));
  await until('nothing is under way', 10_000, async () =>
    (await upstream.arrivals()).every(({ endedAt }) => endedAt !== Number.POSITIVE_INFINITY),
  );
  const { counts } = await upstream.verdict({ countRefused: false });
  const { summary } = await upstream.verdict();
  return {
    lines: PEOPLE.flatMap((who) => readHistory(fileOf(who))),
    effects: await readEffects(upstream.url),
    refused: summary.byRefusal.fence ?? 0,
    decreases: counts.fence ?? 0,
    kills,
    stops,
  };
}

/** Killed with the test, whatever became of it. */
async function start(world: World, label: string, argv: string[], env: NodeJS.ProcessEnv): Promise<ArenaPod> {
  const started = await startProcess(label, argv, { ...process.env, ...env });
  world.defer(async () => {
    started.signal('SIGKILL');
    await started.exited;
  });
  return started;
}

function startPod(world: World, upstream: UpstreamProcess, label: string): Promise<ArenaPod> {
  const args = [join(ROOT, 'dist', 'main.js'), 'worker', '--dir', join(HERE, 'fleet'), '--drain', '1s'];
  return start(world, label, args, {
    REDIS_URL: world.redisUrl,
    LANEKEEPER_PREFIX: world.prefix,
    LANEKEEPER_METRICS_PORT: '0',
    LOG_LEVEL: 'warn',
    FAULTS_POD: label,
    FIGHT_URL: upstream.url,
  });
}

function startPerson(world: World, who: string, drawn: number, file: string): Promise<ArenaPod> {
  const { redisUrl, prefix } = world;
  const given = JSON.stringify({ redisUrl, prefix, who, seed: Math.floor(drawn * 2 ** 31), file });
  return start(world, who, ['--import', 'tsx', join(HERE, 'person.ts'), given], {});
}

async function readEffects(url: string): Promise<Effect[]> {
  const answer = await fetch(`${url}/_sim/effects?limit=100000`, { headers: { connection: 'close' } });
  return ((await answer.json()) as { effects: Effect[] }).effects;
}
