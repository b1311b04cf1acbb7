// Four workers with more work than their upstream allows, each way of keeping a limit that is compared; the upstream is the
// stand-in, in a process of its own: it enforces the limit, keeps the record and judges.

import type { LimitInput } from '../src/simulator/index.ts';
import { type Arrival, startUpstream } from '../test/faults/limits/upstream-process.ts';
import { preload } from './preload.ts';
import { pause, type Store } from './store.ts';
import { bullPrefix, COUNTING, countCommands, startWorker, type WorkerProcess } from './worker-process.ts';

const PODS = 4;
/** Of raw jobs: they come again until they are done, or nearly. */
const RETRYING = { attempts: 50, backoff: { type: 'fixed', delay: 500 } };

export const WAYS = {
  'ours, scripts': { kind: 'ours', driver: 'scripts' },
  'ours, Bottleneck': { kind: 'ours', driver: 'bottleneck' },
  'raw, retrying on 429': { kind: 'raw', way: 'retrying' },
  "BullMQ's limiter": { kind: 'raw', way: 'rate-limited' },
  'Bottleneck per job': { kind: 'raw', way: 'scheduled' },
} as const;

export type Way = keyof typeof WAYS;

export interface Case {
  limits: readonly LimitInput[];
  latency: string;
}

export interface LimitedFleet {
  readonly pods: readonly WorkerProcess[];
  arrivals(): Promise<readonly Arrival[]>;
  /** Offences by the judge: arrivals over a limit, refused ones included. */
  over(): Promise<number>;
  /** Commands sent to Redis by all workers so far. */
  commands(): Promise<number>;
  /** Attempts that ended in a failure so far and were counted by the queue. */
  attemptsBurned(): Promise<number>;
  stop(): Promise<void>;
}

/** The jobs are there before the workers. */
export async function startLimitedFleet(store: Store, way: Way, given: Case, jobs: number): Promise<LimitedFleet> {
  const { kind, ...how } = WAYS[way];
  const prefix = await store.fresh();
  await preload(kind, store, prefix, jobs, RETRYING);
  const upstream = await startUpstream(given.limits, given.latency);
  // A kinder upstream than the tests': what it refuses does not count against who comes again. Ours is never refused.
  await upstream.configure({ countRefused: false });
  const limits = 'driver' in how ? { driver: how.driver, all: given.limits } : given.limits;
  const options = {
    prefix,
    flags: COUNTING,
    env: { BENCH_LIMITS: JSON.stringify(limits), BENCH_URL: upstream.url },
    ...('way' in how ? { child: ['limited-worker.js', how.way] as const } : { mode: 'request' as const }),
  };
  const pods = await Promise.all(Array.from({ length: PODS }, () => startWorker(kind, store, options)));
  const queue = `${bullPrefix(kind, prefix)}:noop`;
  return {
    pods,
    arrivals: () => upstream.arrivals(),
    async over() {
      const { counts } = await upstream.verdict({ limits: given.limits, countRefused: true });
      return (counts.concurrent ?? 0) + (counts.rate ?? 0);
    },
    commands: () => countCommands(pods),
    async attemptsBurned() {
      let burned = 0;
      for (const [set, settled] of [
        ['completed', 1],
        ['failed', 0],
        ['delayed', 0],
      ] as const) {
        const ids = await store.redis.zrange(`${queue}:${set}`, '0', '-1');
        const made = await Promise.all(ids.map((id) => store.redis.hget(`${queue}:${id}`, 'atm')));
        burned += made.reduce((sum, count) => sum + Math.max(0, Number(count ?? 0) - settled), 0);
      }
      return burned;
    },
    async stop() {
      for (const { child } of pods) child.kill('SIGKILL');
      await Promise.all(pods.map((pod) => pod.stop()));
      upstream.stop();
    },
  };
}

export async function waitFor<T>(what: string, withinMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() - startedAt > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(50);
  }
}
