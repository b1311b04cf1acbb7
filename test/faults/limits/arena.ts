// Where a limit is tried: a Redis of its own, real pods that share one upstream, and that upstream as a process that enforces
// the limit, keeps the record and judges. Whatever happens, all of it is taken down.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ROOT } from '../../../scripts/prepare.js';
import { createProducer, defineLane, defineUpstream, type Lane, type Producer } from '../../../src/index.ts';
import type { LimitInput } from '../../../src/simulator/index.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/store/embedded-redis.ts';
import { systemClock } from '../../../src/words/clock.ts';
import { createKeys, type Keys } from '../../../src/words/keys.ts';
import type { LimitDriverName } from '../../../src/words/limit.ts';
import { type FaultOptions, trySignal } from '../arena.ts';
import { type ArenaPod, startProcess } from '../harness/pods.ts';
import { type Defer, onStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';
import { createLimitEvidence, type LimitEvidence } from './evidence.ts';
import { type Arrival, startUpstream, type UpstreamProcess } from './upstream-process.ts';

const HERE = join(ROOT, 'test', 'faults', 'limits');

export interface LimitOptions extends FaultOptions {
  driver: LimitDriverName;
}

/** Ways in which a pod forgets a protection: see careless.js. */
export type Careless =
  | 'late'
  | 'unextended'
  | 'greedy'
  | 'weightless'
  | 'unheld'
  | 'sleepy'
  | 'unexpiring'
  | 'unclosed'
  | 'fleeting'
  | 'forgetful'
  | 'unyielding'
  | 'own-clock';

export interface PodPlan {
  lanes?: LaneName[];
  careless?: readonly Careless[];
  /** By how much its wall clock is off. */
  shiftMs?: number;
}

export type LaneName = 'alpha' | 'beta';

export interface Work {
  steps?: number;
  dawdleMs?: number;
  holdMs?: number;
  /** Tokens it is expected to use, and those it uses. */
  estimate?: number;
  tokens?: number;
  /** Who it acts for, in turn. */
  agents?: readonly string[];
  /** As the producer's: lower runs sooner. */
  priority?: number;
}

export interface TokenLimit {
  tokens: number;
  per: `${number}s` | `${number}m`;
}

export interface LimitTerms {
  limits: readonly LimitInput[];
  /** Of tokens; the upstream does not enforce it: see judgement.ts. */
  tokens?: TokenLimit;
  /** How long the upstream takes. */
  latency: string;
  /** The lanes'. Default '20s'. */
  timeout?: string;
  weights?: Partial<Record<LaneName, number>>;
}

export interface LimitArena {
  readonly terms: LimitTerms;
  readonly redis: EmbeddedRedis;
  /** For looking from outside. */
  readonly look: Redis;
  readonly keys: Keys;
  readonly upstream: UpstreamProcess;
  readonly pods: readonly ArenaPod[];
  startPod(label: string, plan?: PodPlan): Promise<ArenaPod>;
  /** a, b, c and d. */
  startFour(plan?: PodPlan): Promise<ArenaPod[]>;
  add(lane: LaneName, count: number, work?: Work): Promise<string[]>;
  /** Adds so many each `everyMs`, whatever becomes of it, until stopped. */
  keepAdding(lane: LaneName, count: number, everyMs: number, work?: Work): { stop(): Promise<void> };
  arrivals(): Promise<readonly Arrival[]>;
  now(): number;
}

/** Runs to its reckoning. Never throws: what went wrong is in the evidence. */
export async function inLimitArena(
  fault: string,
  { seed, driver }: LimitOptions,
  terms: LimitTerms,
  body: (arena: LimitArena, evidence: LimitEvidence) => Promise<void>,
): Promise<LimitEvidence> {
  const evidence = createLimitEvidence(fault, driver, seed);
  const refusal = refusalOf(terms, driver);
  if (refusal) {
    evidence.prove(true, `it cannot be kept, and is refused where it is defined: ${refusal}`);
    evidence.figures.push('refused at definition');
    return evidence;
  }
  return onStage(evidence, async (defer) => {
    const arena = await openArena(terms, driver, defer);
    let isWhole = true;
    await body(arena, evidence).catch((error) => {
      isWhole = false;
      evidence.promise(false, `broke off: ${(error as Error).message}`);
    });
    const { counts, summary } = await arena.upstream.verdict();
    evidence.requests = summary.requests;
    evidence.refused = summary.byStatus['429'] ?? 0;
    if (!isWhole) evidence.over = (counts.concurrent ?? 0) + (counts.rate ?? 0);
  });
}

const allOf = ({ limits, tokens }: LimitTerms) => (tokens ? [...limits, tokens] : limits);

function refusalOf(terms: LimitTerms, driver: LimitDriverName): string | undefined {
  try {
    defineUpstream({ name: 'limited', limits: { driver, all: allOf(terms) } });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function openArena(terms: LimitTerms, driver: LimitDriverName, defer: Defer): Promise<LimitArena> {
  const dataDir = await mkdtemp(join(tmpdir(), 'lanekeeper-limit-'));
  defer(() => rm(dataDir, { recursive: true, force: true }));
  const cacheDir = join(ROOT, '.lanekeeper', 'server');
  const redis = await startEmbeddedRedis({ dataDir, cacheDir, say: () => {} });
  defer(async () => {
    trySignal(redis.pid, 'SIGCONT');
    await redis.stop();
  });
  const upstream = await startUpstream(terms.limits, terms.latency);
  defer(() => upstream.stop());
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
  const { timeout = '20s', weights = {} } = terms;
  const fleet = { limits: { driver, all: allOf(terms) }, timeout, weights: { alpha: 1, beta: 1, ...weights } };

  async function startPod(label: string, plan: PodPlan = {}): Promise<ArenaPod> {
    const { lanes = ['alpha', 'beta'], careless = [], shiftMs = 0 } = plan;
    const loaded = [
      ...(shiftMs === 0 ? [] : ['--import', join(HERE, 'shifted-clock.js')]),
      ...(careless.length === 0 ? [] : ['--import', join(HERE, 'careless.js')]),
    ];
    const worker = [join(ROOT, 'dist', 'main.js'), 'worker', '--dir', join(HERE, 'fleet'), '--lanes', lanes.join(',')];
    const pod = await startProcess(label, [...loaded, ...worker, '--concurrency', '200', '--drain', '1s'], {
      ...process.env,
      REDIS_URL: redis.url,
      LANEKEEPER_PREFIX: 'lk',
      LANEKEEPER_METRICS_PORT: '0',
      LOG_LEVEL: 'warn',
      FAULTS_POD: label,
      LIMITS_URL: upstream.url,
      LIMITS_FLEET: JSON.stringify(fleet),
      LIMITS_CARELESS: careless.join(','),
      LIMITS_SHIFT_MS: String(shiftMs),
    });
    pods.push(pod);
    return pod;
  }

  let serial = 0;
  const add = async (lane: LaneName, count: number, work: Work = {}) =>
    addTo(producer, lane, count, work, () => ++serial);
  return {
    terms,
    redis,
    look,
    keys: createKeys('lk'),
    upstream,
    pods,
    startPod,
    startFour: (plan) => Promise.all(['a', 'b', 'c', 'd'].map((label) => startPod(label, plan))),
    add,
    keepAdding(lane, count, everyMs, work) {
      const pending = new Set<Promise<unknown>>();
      const timer = setInterval(() => {
        const adding = add(lane, count, work)
          .catch(() => {}) // with Redis away it is refused, as it should be
          .finally(() => pending.delete(adding));
        pending.add(adding);
      }, everyMs);
      const stop = async () => {
        clearInterval(timer);
        await until('every add answers', 10_000, () => pending.size === 0);
      };
      defer(() => clearInterval(timer));
      return { stop };
    },
    arrivals: () => upstream.arrivals(),
    now: systemClock.now,
  };
}

/** The pods' definitions say the rest. */
const limited = defineUpstream({ name: 'limited', limits: [{ concurrent: 1, by: 'agent' }] });
const LANES: Record<LaneName, Lane> = {
  alpha: defineLane({ name: 'alpha', upstream: limited }),
  beta: defineLane({ name: 'beta', upstream: limited }),
};
const BULK = 1_000;

async function addTo(producer: Producer, name: LaneName, count: number, work: Work, next: () => number) {
  const { agents = [], priority, ...given } = work;
  const item = () => {
    const n = next();
    const agent = agents[n % agents.length];
    return {
      payload: { n, ...given },
      ...(agent !== undefined && { agent }),
      ...(priority !== undefined && { priority }),
    };
  };
  const ids: string[] = [];
  for (let left = count; left > 0; left -= BULK) {
    const items = Array.from({ length: Math.min(left, BULK) }, item);
    ids.push(...(await producer.addMany(LANES[name], items)).map(({ id }) => id));
  }
  return ids;
}
