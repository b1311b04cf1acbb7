// Where agents are tried: a Redis of its own, real pods that act as the same agents, and their upstream as a process that lets all
// through, keeps the record and judges. Whatever happens, all of it is taken down.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ROOT } from '../../../scripts/prepare.js';
import { createProducer, defineLane, defineUpstream } from '../../../src/index.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/store/embedded-redis.ts';
import { systemClock } from '../../../src/words/clock.ts';
import { createKeys, type Keys } from '../../../src/words/keys.ts';
import { type FaultOptions, trySignal } from '../arena.ts';
import { type ArenaPod, startProcess } from '../harness/pods.ts';
import { type Defer, onStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';
import { type Arrival, startUpstream, type UpstreamProcess } from '../limits/upstream-process.ts';
import { type AgentEvidence, createAgentEvidence } from './evidence.ts';

const HERE = join(ROOT, 'test', 'faults', 'agents');
const SHIFTED = join(ROOT, 'test', 'faults', 'limits', 'shifted-clock.js');
export const TAG = 'acting';
export const AGENTS = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8'];
export const COOLDOWN_MS = 1_000;

/** Ways in which a pod forgets a protection: see careless.js. */
export type Careless = 'own-clock' | 'patient' | 'forgiving' | 'sleepy' | 'unsaid' | 'untold' | 'unscripted';

export interface PodPlan {
  careless?: readonly Careless[];
  /** By how much its wall clock is off. */
  shiftMs?: number;
}

export type LaneName = 'alpha' | 'beta';

export interface Work {
  steps?: number;
  dawdle?: 'before' | 'between' | 'after';
  forMs?: number;
}

export interface Terms {
  /** How long the upstream takes. */
  latency: string;
  /** Default: a second. */
  cooldownMs?: number;
}

export interface AgentArena {
  readonly redis: EmbeddedRedis;
  /** Where Redis keeps its files. */
  readonly dataDir: string;
  /** For looking from outside. */
  readonly look: Redis;
  readonly keys: Keys;
  readonly upstream: UpstreamProcess;
  readonly pods: readonly ArenaPod[];
  startPod(label: string, plan?: PodPlan): Promise<ArenaPod>;
  /** Half of them of any agent, the others of each in turn. */
  add(lane: LaneName, count: number, work?: Work): Promise<string[]>;
  /** One for each agent. */
  addToEach(lane: LaneName, work?: Work): Promise<string[]>;
  arrivals(): Promise<readonly Arrival[]>;
  actingCount(): Promise<number>;
  /** Jobs that have not ended. */
  unfinished(): Promise<number>;
  now(): number;
}

/** Runs to its reckoning. Never throws: what went wrong is in the evidence. */
export async function inAgentArena(
  fault: string,
  { seed }: FaultOptions,
  { latency, cooldownMs = COOLDOWN_MS }: Terms,
  body: (arena: AgentArena, evidence: AgentEvidence) => Promise<void>,
): Promise<AgentEvidence> {
  const evidence = createAgentEvidence(fault, seed);
  return onStage(evidence, async (defer) => body(await openArena(latency, cooldownMs, evidence, defer), evidence));
}

/** Every accepted job ends, and nobody acted early, by the judge. */
export async function proveNeverEarly(arena: AgentArena, evidence: AgentEvidence, withinMs = 60_000): Promise<void> {
  await until('every job ends', withinMs, async () => (await arena.unfinished()) === 0).catch(async (error) => {
    evidence.problems.push(`${(error as Error).message}: ${await arena.unfinished()} have not`);
  });
  const done = await doneCount(arena);
  evidence.prove(done === evidence.accepted, `${done} of ${evidence.accepted} jobs are done`);
  await judgeActs(arena, evidence);
  evidence.prove(evidence.early === 0, `${evidence.early} of ${evidence.acts} acts were early`);
}

export async function judgeActs(arena: AgentArena, evidence: AgentEvidence): Promise<number> {
  const { counts, summary, convictions: all } = await arena.upstream.verdict();
  const convictions = all.filter(({ rule }) => rule === 'cooldown');
  const arrivals = await arena.arrivals();
  // One attempt is one act, however many requests it sends: to the judge each is one.
  const actOf = (n: number | undefined) => {
    const { job, start } = arrivals.find((arrival) => arrival.n === n) ?? {};
    return `${job} ${start}`;
  };
  const further = convictions.filter(({ records: [last, next] }) => actOf(last) === actOf(next));
  evidence.acts = summary.requests - further.length;
  evidence.early = (counts.cooldown ?? 0) - further.length;
  const [first] = convictions.filter((one) => !further.includes(one));
  if (first) evidence.figures.push(first.detail);
  return evidence.early;
}

const LANES = { alpha: laneOf('alpha'), beta: laneOf('beta') };

/** The pods' definitions say the rest. */
function laneOf(name: LaneName) {
  const upstream = defineUpstream({ name: TAG, agents: AGENTS });
  return defineLane({ name, upstream, agent: { cooldown: `${COOLDOWN_MS}ms` } });
}

async function doneCount({ look, keys }: AgentArena): Promise<number> {
  const counts = await Promise.all(
    Object.values(LANES).map((lane) => look.zcard(`${keys.queuePrefix(lane)}:${lane.name}:completed`)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function openArena(
  latency: string,
  cooldownMs: number,
  evidence: AgentEvidence,
  defer: Defer,
): Promise<AgentArena> {
  const dataDir = await mkdtemp(join(tmpdir(), 'lanekeeper-agents-'));
  defer(() => rm(dataDir, { recursive: true, force: true }));
  const cacheDir = join(ROOT, '.lanekeeper', 'server');
  const redis = await startEmbeddedRedis({ dataDir, cacheDir, say: () => {} });
  defer(async () => {
    trySignal(redis.pid, 'SIGCONT');
    await redis.stop();
  });
  const upstream = await startUpstream([], latency);
  defer(() => upstream.stop());
  await upstream.configure({ cooldown: `${cooldownMs}ms`, enforce: false });
  const look = new Redis(redis.url, { maxRetriesPerRequest: null, connectionName: 'faults:look' });
  look.on('error', () => {});
  defer(() => look.disconnect());
  const producer = await createProducer({ redis: redis.url });
  defer(() => producer.close());
  const pods: ArenaPod[] = [];
  defer(async () => {
    for (const pod of pods) {
      pod.signal('SIGCONT');
      pod.signal('SIGKILL');
    }
    await Promise.all(pods.map((pod) => pod.exited));
  });
  const keys = createKeys('lk');
  let serial = 0;
  async function addAll(lane: LaneName, items: { payload: object; agent: string | undefined }[]): Promise<string[]> {
    const added = await producer.addMany(LANES[lane], items);
    evidence.accepted += items.length;
    return added.map(({ id }) => id);
  }

  return {
    redis,
    dataDir,
    look,
    keys,
    upstream,
    pods,
    async startPod(label, { careless = [], shiftMs = 0 } = {}) {
      const loaded = [
        ...(shiftMs === 0 ? [] : ['--import', SHIFTED]),
        ...(careless.length === 0 ? [] : ['--import', join(HERE, 'careless.js')]),
      ];
      const worker = [join(ROOT, 'dist', 'main.js'), 'worker', '--dir', join(HERE, 'fleet')];
      const pod = await startProcess(label, [...loaded, ...worker, '--concurrency', '64', '--drain', '1s'], {
        ...process.env,
        REDIS_URL: redis.url,
        LANEKEEPER_PREFIX: 'lk',
        LANEKEEPER_METRICS_PORT: '0',
        LOG_LEVEL: 'warn',
        FAULTS_POD: label,
        AGENTS_URL: upstream.url,
        AGENTS_FLEET: JSON.stringify({ agents: AGENTS, cooldown: `${cooldownMs}ms` }),
        AGENTS_CARELESS: careless.join(','),
        LIMITS_SHIFT_MS: String(shiftMs),
      });
      pods.push(pod);
      return pod;
    },
    add: (lane, count, work = {}) =>
      addAll(
        lane,
        Array.from({ length: count }, () => {
          const n = serial++;
          return { payload: { n, ...work }, agent: n % 2 ? undefined : AGENTS[(n / 2) % AGENTS.length] };
        }),
      ),
    addToEach: (lane, work = {}) =>
      addAll(
        lane,
        AGENTS.map((agent) => ({ payload: { n: serial++, ...work }, agent })),
      ),
    arrivals: () => upstream.arrivals(),
    actingCount: () => look.zcard(`${keys.upstream(TAG)}acting`),
    async unfinished() {
      const pipeline = look.pipeline();
      for (const lane of Object.values(LANES)) {
        const base = `${keys.queuePrefix(lane)}:${lane.name}`;
        pipeline.llen(`${base}:wait`).llen(`${base}:active`).zcard(`${base}:prioritized`).zcard(`${base}:delayed`);
      }
      return ((await pipeline.exec()) ?? []).reduce((sum, [, count]) => sum + Number(count), 0);
    },
    now: systemClock.now,
  };
}
