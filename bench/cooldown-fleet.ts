// Four workers and 32 agents with a cooldown, each way of going about it that is compared; the upstream is the stand-in, in a
// process of its own: it knows the cooldown, keeps the record and judges.

import { join } from 'node:path';
import { type JobsOptions, Queue } from 'bullmq';
import { createProducer, defineLane, defineUpstream } from 'lanekeeper';
import { ROOT } from '../scripts/prepare.js';
import { type Arrival, startUpstream, type UpstreamProcess } from '../test/faults/limits/upstream-process.ts';
import type { Store } from './store.ts';
import { COUNTING, startWorker, type WorkerProcess } from './worker-process.ts';

const PODS = 4;
export const SERVICE_MS = 20;
export const AGENTS = Array.from({ length: 32 }, (_, n) => `a${String(n + 1).padStart(2, '0')}`);
/** Before every priority of the backlog, in raw BullMQ too. */
export const TOP = 0;
const BULK = 1_000;
/** What whoever precomputes slots leaves for a late start and a slow answer. */
const SLOT_SLACK_MS = 30;

export const WAYS = {
  ours: undefined,
  'random agent, retrying on 429': ['random', '8'],
  'queue.rateLimit, 1 at a time': ['rate-limited', '1'],
  'queue.rateLimit, 64 at a time': ['rate-limited', '64'],
  'a delayed job per slot': ['slots', '8'],
} as const;

export type Way = keyof typeof WAYS;

export interface Case {
  cooldownMs: number;
  backlog: number;
}

export interface Work {
  /** Undefined: as anybody. */
  agent?: string | undefined;
  priority: number;
  dawdleMs?: number;
}

export interface CooldownFleet {
  readonly prefix: string;
  readonly pods: readonly WorkerProcess[];
  readonly upstream: UpstreamProcess;
  /** The upstream's clock, as near as this process can know it. */
  now(): number;
  add(work: Work): Promise<string>;
  addMany(works: readonly Work[]): Promise<string[]>;
  /** Requests of agents so far, in order. */
  acts(): Promise<Arrival[]>;
  /** Acts that came too early, by the judge, whether they were refused or not. */
  early(): Promise<number>;
  stop(): Promise<void>;
}

/** The agents are known and the pods at work before any job is there. */
export async function startCooldownFleet(store: Store, way: Way, { cooldownMs }: Case): Promise<CooldownFleet> {
  const prefix = await store.fresh();
  const upstream = await startUpstream([], `${SERVICE_MS}ms`);
  // A kinder upstream than its default: what it refuses does not close its agent's window again. Ours is never refused.
  await upstream.configure({ cooldown: `${cooldownMs}ms`, countRefused: false });
  const raw = WAYS[way];
  const pods = await Promise.all(
    Array.from({ length: PODS }, (_, n) =>
      startWorker(raw ? 'raw' : 'ours', store, {
        prefix,
        flags: COUNTING,
        fleet: join(ROOT, 'bench', 'agents-fleet'),
        ...(raw && { child: ['cooldown-worker.js', ...raw] as const }),
        env: {
          BENCH_URL: upstream.url,
          BENCH_POD: String(n),
          BENCH_AGENTS: JSON.stringify(AGENTS),
          BENCH_COOLDOWN_MS: String(cooldownMs),
        },
      }),
    ),
  );
  const door = await (raw ? openRaw(store, prefix, raw[0] === 'slots', cooldownMs) : openOurs(store, prefix));
  const offsetMs = await readOffset(upstream);
  return {
    prefix,
    pods,
    upstream,
    now: () => performance.now() + offsetMs,
    add: async (work) => (await door.addMany([work]))[0] as string,
    async addMany(works) {
      const ids: string[] = [];
      for (let at = 0; at < works.length; at += BULK) ids.push(...(await door.addMany(works.slice(at, at + BULK))));
      return ids;
    },
    acts: async () => (await upstream.arrivals()).filter(({ agent }) => agent !== null),
    early: async () => (await upstream.verdict()).counts.cooldown ?? 0,
    async stop() {
      for (const { child } of pods) child.kill('SIGKILL');
      await Promise.all(pods.map((pod) => pod.stop()));
      await door.close();
      upstream.stop();
    },
  };
}

interface Door {
  addMany(works: readonly Work[]): Promise<string[]>;
  close(): Promise<void>;
}

/** The pods' definition says the rest. */
const act = defineLane({
  name: 'act',
  upstream: defineUpstream({ name: 'forum' }),
  agent: { cooldown: '500ms' },
});

async function openOurs(store: Store, prefix: string): Promise<Door> {
  const producer = await createProducer({ redis: store.url, prefix });
  return {
    async addMany(works) {
      const [first] = works;
      if (first && works.length === 1) {
        const { dawdleMs, ...options } = first;
        return [(await producer.add(act, { dawdleMs }, options)).id];
      }
      const items = works.map(({ dawdleMs, ...options }) => ({ payload: { dawdleMs }, ...options }));
      return (await producer.addMany(act, items)).map(({ id }) => id);
    },
    close: () => producer.close(),
  };
}

async function openRaw(store: Store, prefix: string, hasSlots: boolean, cooldownMs: number): Promise<Door> {
  const queue = new Queue('act', { connection: store.redis, prefix });
  const nextAt = new Map(AGENTS.map((agent) => [agent, 0]));

  /** The next slot of the agent, or the first of all. */
  function toSlot(asked: string | undefined): { agent: string; delay: number } {
    const agent = asked ?? [...nextAt].reduce((first, next) => (next[1] < first[1] ? next : first))[0];
    const at = Math.max(Date.now(), nextAt.get(agent) ?? 0);
    nextAt.set(agent, at + cooldownMs + SERVICE_MS + SLOT_SLACK_MS);
    return { agent, delay: at - Date.now() };
  }

  return {
    async addMany(works) {
      const entries = works.map(({ agent: asked, priority }) => {
        const { agent, ...slot } = hasSlots ? toSlot(asked) : { agent: asked };
        return { name: 'act', data: { agent }, opts: { priority, ...slot } satisfies JobsOptions };
      });
      return (await queue.addBulk(entries)).map(({ id }) => id as string);
    },
    close: () => queue.close(),
  };
}

/**
 * What to add to this process's monotonic clock for the upstream's. Each knock arrived between its sending and its answer, so the
 * tightest of many brackets tells it to some tenths of a millisecond.
 */
async function readOffset(upstream: UpstreamProcess): Promise<number> {
  const knocks: { sentMono: number; answeredMono: number }[] = [];
  for (let n = 0; n < 200; n++) {
    const sentMono = performance.now();
    await (await fetch(`${upstream.url}/health?pod=knock`)).text();
    knocks.push({ sentMono, answeredMono: performance.now() });
  }
  const arrivals = (await upstream.arrivals()).filter(({ pod }) => pod === 'knock');
  const least = Math.max(...knocks.map(({ answeredMono }, n) => (arrivals[n]?.at ?? Number.NaN) - answeredMono));
  const most = Math.min(...knocks.map(({ sentMono }, n) => (arrivals[n]?.at ?? Number.NaN) - sentMono));
  return (least + most) / 2;
}
