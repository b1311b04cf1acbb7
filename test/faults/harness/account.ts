// The reckoning, read from outside: where each job of each lane lies, how often it was settled by the journal, how often it
// ran and had its effect by the upstreams' own record.

import type { Redis } from 'ioredis';
import { openEnvelope } from '../../../src/path/envelope.ts';
import type { Simulator } from '../../../src/simulator/index.ts';
import { readBatch } from '../../../src/store/journal-stream.ts';
import type { Keys } from '../../../src/words/keys.ts';
import * as lanes from '../fleet/queues/lanes.ts';
import type { AnyLane, Ledger } from './ledger.ts';

const PAGE = 500;
export const LANES: AnyLane[] = [lanes.steady, lanes.plain, lanes.deaf, lanes.reckless, lanes.poison];

export interface Account {
  done: ReadonlySet<string>;
  dead: ReadonlySet<string>;
  /** Accepted, and in none of the sets in which a job ends. */
  lost: string[];
  /** Neither ended nor gone: still waiting, parked or active. */
  unfinished: string[];
  /** Of no add that was ever made. */
  unexpected: string[];
  /** Of an add whose answer was never heard. */
  recovered: number;
  settledTwice: string[];
  ranTwice: string[];
  effectsTwice: { bare: string[]; guarded: string[] };
}

export interface Sources {
  redis: Redis;
  keys: Keys;
  ledger: Pick<Ledger, 'accepted' | 'unknown' | 'forgotten'>;
  guarded: Pick<Simulator, 'log' | 'effects'>;
  bare: Pick<Simulator, 'log' | 'effects'>;
}

export async function takeAccount({ redis, keys, ledger, guarded, bare }: Sources): Promise<Account> {
  const done = new Set<string>();
  const dead = new Set<string>();
  const unfinished: string[] = [];
  const unexpected: string[] = [];
  let recovered = 0;
  for (const lane of LANES) {
    const key = (part: string) => `${keys.queuePrefix(lane)}:${lane.name}:${part}`;
    for (const id of await readSet(redis, key('completed'))) done.add(id);
    for (const id of await readSet(redis, key('failed'))) dead.add(id);
    for (const set of ['prioritized', 'delayed']) unfinished.push(...(await readSet(redis, key(set))));
    for (const list of ['wait', 'paused', 'active']) unfinished.push(...(await redis.lrange(key(list), 0, -1)));
    for (const id of [...done, ...dead, ...unfinished]) {
      if (ledger.accepted.has(id) || ledger.forgotten.has(id)) continue;
      const data = await redis.hget(key(id), 'data');
      if (data === null) continue; // of another lane
      const { payload } = openEnvelope(data);
      if (ledger.unknown.has((payload as { n: number }).n)) recovered++;
      else unexpected.push(id);
    }
  }
  const settles = await countSettles(redis, [keys.journal('guarded'), keys.journal('bare')]);
  return {
    done,
    dead,
    unfinished,
    unexpected,
    recovered,
    lost: [...ledger.accepted.keys()].filter((id) => !done.has(id) && !dead.has(id) && !unfinished.includes(id)),
    settledTwice: [...settles].filter(([id, count]) => count > 1 || (done.has(id) && dead.has(id))).map(([id]) => id),
    ranTwice: [...startsOf([...guarded.log, ...bare.log])].filter(([, starts]) => starts.size > 1).map(([id]) => id),
    effectsTwice: { bare: doubled(bare), guarded: doubled(guarded) },
  };
}

export async function countUnfinished(redis: Redis, keys: Keys): Promise<number> {
  const pipeline = redis.pipeline();
  for (const lane of LANES) {
    const base = `${keys.queuePrefix(lane)}:${lane.name}`;
    pipeline.llen(`${base}:wait`).llen(`${base}:active`).zcard(`${base}:prioritized`).zcard(`${base}:delayed`);
  }
  const replies = (await pipeline.exec()) ?? [];
  return replies.reduce((sum, [, count]) => sum + Number(count), 0);
}

async function readSet(redis: Redis, key: string): Promise<string[]> {
  const all: string[] = [];
  for (let start = 0; ; start += PAGE) {
    const page = await redis.zrange(key, String(start), String(start + PAGE - 1));
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** Every entry of some streams of the journal, in order. */
export async function readJournal(redis: Redis, streams: string[]) {
  const entries: ReturnType<typeof readBatch> = [];
  for (const stream of streams) {
    for (let after = '-'; ; ) {
      const page = await redis.xrange(stream, after, '+', 'COUNT', PAGE);
      for (const [id, fields] of page) entries.push(...readBatch(id, fields));
      if (page.length < PAGE) break;
      after = `(${page.at(-1)?.[0]}`;
    }
  }
  return entries;
}

async function countSettles(redis: Redis, streams: string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { what, outcome, job } of await readJournal(redis, streams)) {
    if (what !== 'attempt.finished' || (outcome !== 'done' && outcome !== 'dead')) continue;
    counts.set(String(job), (counts.get(String(job)) ?? 0) + 1);
  }
  return counts;
}

/** By job, its starts: the fence of an open lane is the number of the start. */
function startsOf(log: Simulator['log']): Map<string, Set<string>> {
  const starts = new Map<string, Set<string>>();
  for (const { jobId, fence } of log) {
    if (jobId === null || fence === null) continue;
    const known = starts.get(jobId) ?? new Set();
    starts.set(jobId, known.add(fence));
  }
  return starts;
}

function doubled({ effects }: Pick<Simulator, 'effects'>): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { jobId, method, path } of effects) {
    const effect = `${jobId} ${method} ${path}`;
    if (jobId !== null && seen.has(effect)) twice.add(jobId);
    seen.add(effect);
  }
  return [...twice];
}
