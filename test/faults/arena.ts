// Where a fault takes place: a Redis of its own that can be stopped, killed and restarted, real pods, two stand-in upstreams
// in this process, a producer and a ledger. Whatever happens, all of it is taken down, and what is left open is a problem.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ROOT } from '../../scripts/prepare.js';
import { createProducer, type Producer } from '../../src/index.ts';
import { createSimulator, type RequestRecord, type Simulator } from '../../src/simulator/index.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createKeys, type Keys } from '../../src/words/keys.ts';
import { createEvidence, type Evidence, proveAccount } from './evidence.ts';
import { countUnfinished, takeAccount } from './harness/account.ts';
import { createLedger, type Ledger } from './harness/ledger.ts';
import { type ArenaPod, startPod } from './harness/pods.ts';
import { type Defer, onStage } from './harness/stage.ts';
import { createRandom, until } from './harness/until.ts';

/** What a pod may take to leave when it has nothing to do, on a crowded machine. */
const LEAVE_MS = 15_000;

export interface FaultOptions {
  seed: number;
  /** The form that `npm test` runs: fewer jobs, shorter faults. */
  short: boolean;
  /** Where its Redis keeps its data; a folder that goes with the run, unless one is given. */
  dataDir?: string;
}

export interface Arrival {
  job: string;
  pod: string;
  attempt: number;
  start: number;
  step: number;
  at: number;
}

export interface Arena {
  readonly redis: EmbeddedRedis;
  /** For looking from outside. */
  readonly look: Redis;
  readonly keys: Keys;
  readonly guarded: Simulator;
  readonly bare: Simulator;
  readonly producer: Producer;
  readonly ledger: Ledger;
  readonly random: () => number;
  readonly pods: readonly ArenaPod[];
  startPod(label: string, options?: { concurrency?: number; drain?: string }): Promise<ArenaPod>;
  /** What both upstreams saw, in order of arrival, of these jobs or of all. */
  arrivals(jobs?: Iterable<string>): Arrival[];
  now(): number;
  defer(cleanup: () => unknown): void;
}

/** Runs one fault to its reckoning. Never throws: what went wrong is in the evidence. */
export async function inArena(
  fault: string,
  { seed, dataDir }: FaultOptions,
  drainMs: number,
  body: (arena: Arena, evidence: Evidence) => Promise<void>,
): Promise<Evidence> {
  const evidence = createEvidence(fault, seed);
  return onStage(evidence, async (defer) => {
    const arena = await openArena(seed, defer, dataDir);
    await body(arena, evidence);
    await reckon(arena, evidence, drainMs);
    await leave(arena, evidence);
  });
}

async function openArena(seed: number, defer: Defer, givenDir?: string): Promise<Arena> {
  const random = createRandom(seed);
  const dataDir = givenDir ?? (await mkdtemp(join(tmpdir(), 'lanekeeper-fault-')));
  if (!givenDir) defer(() => rm(dataDir, { recursive: true, force: true }));
  const cacheDir = join(ROOT, '.lanekeeper', 'server');
  const redis = await startEmbeddedRedis({ dataDir, cacheDir, say: () => {} });
  defer(async () => {
    trySignal(redis.pid, 'SIGCONT');
    await redis.stop();
  });
  const upstream = async (honourIdempotency: boolean) => {
    const behaviour = { latency: '5ms', honourIdempotency, checkFence: honourIdempotency } as const;
    const simulator = createSimulator({ seed, behaviour });
    defer(() => simulator.stop());
    return { simulator, url: (await simulator.start()).url };
  };
  const [guarded, bare] = [await upstream(true), await upstream(false)];
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
  return {
    redis,
    look,
    keys: createKeys('lk'),
    guarded: guarded.simulator,
    bare: bare.simulator,
    producer,
    ledger: createLedger(producer),
    random,
    pods,
    async startPod(label, options = {}) {
      const env = {
        REDIS_URL: redis.url,
        LANEKEEPER_PREFIX: 'lk',
        FAULTS_GUARDED_URL: guarded.url,
        FAULTS_BARE_URL: bare.url,
      };
      const pod = await startPod({ label, env, ...options });
      pods.push(pod);
      return pod;
    },
    arrivals(jobs) {
      const wanted = jobs && new Set(jobs);
      const all = [...guarded.simulator.log, ...bare.simulator.log].map(toArrival);
      return all.filter(({ job }) => !wanted || wanted.has(job)).sort((a, b) => a.at - b.at);
    },
    now: systemClock.now,
    defer,
  };
}

const parsed = new WeakMap<RequestRecord, Arrival>();

function toArrival(record: RequestRecord): Arrival {
  const known = parsed.get(record);
  if (known) return known;
  const query = new URLSearchParams(record.query);
  const arrival = {
    job: record.jobId ?? '',
    pod: query.get('pod') ?? '',
    attempt: Number(query.get('attempt')),
    start: Number(query.get('start')),
    step: Number(record.path.split('/')[2]),
    at: record.arrivedAt,
  };
  parsed.set(record, arrival);
  return arrival;
}

async function reckon(arena: Arena, evidence: Evidence, drainMs: number): Promise<void> {
  const { look, keys, ledger, guarded, bare } = arena;
  evidence.accepted = ledger.accepted.size;
  await until('every job ends', drainMs, async () => (await countUnfinished(look, keys)) === 0).catch((error) => {
    evidence.problems.push((error as Error).message);
  });
  // The journal is written 20 ms behind; what a pod has still to write, it writes before it leaves.
  proveAccount(evidence, await takeAccount({ redis: look, keys, ledger, guarded, bare }));
}

/** Every pod that still runs leaves by itself, and leaves nothing connected. */
async function leave({ pods, look }: Arena, evidence: Evidence): Promise<void> {
  const running = pods.filter((pod) => !pod.exit);
  for (const pod of running) pod.signal('SIGTERM');
  await until('idle pods leave when told to', LEAVE_MS, () => running.every((pod) => pod.exit));
  for (const { label, exit, lastWords } of running) {
    if (exit?.code !== 0) evidence.problems.push(`pod ${label} left with ${exit?.code ?? exit?.signal}: ${lastWords}`);
  }
  await until('no pod left a connection open', 5_000, async () => {
    const clients = (await look.client('LIST')) as string;
    return !/name=lanekeeper:(pod|blocking)/.test(clients);
  });
}

export function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
}
