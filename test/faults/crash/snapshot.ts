// What lies in Redis under a run's prefix when it is over, key by key: jobs and in which sets they are, locks, reservations.

import type { Redis } from 'ioredis';
import { openEnvelope } from '../../../src/path/envelope.ts';
import { parseStacks, readStack } from '../../../src/path/stack.ts';
import { createKeys } from '../../../src/words/keys.ts';
import { readJournal } from '../harness/account.ts';
import { LANES, type Work } from './lanes.ts';

export interface StoredJob {
  lane: string;
  id: string;
  n: number;
  index: number | null;
  key: string | null;
  parent: string | null;
  /** The sets and lists of its lane that name it. */
  places: string[];
  /** Of its last stack; null when there is none. */
  deathClass: string | null;
  hasTrace: boolean;
}

export interface Snapshot {
  jobs: StoredJob[];
  /** '<lane> <place> <id>' of what is in a set and has no hash. */
  named: string[];
  locks: string[];
  /** The ids that reservations stand for. */
  reserved: string[];
  /** By '<lane>/<id>', how often the journal says that it ended. */
  told: Map<string, number>;
}

/** As `reservation` in words/keys; a lane here is called `same` as well. */
const RESERVATION = /:l:\{\w+\}:\w+:same:/;
const LISTS = ['wait', 'paused', 'active'];
const SETS = ['prioritized', 'delayed', 'waiting-children', 'completed', 'failed'];

export async function takeSnapshot(redis: Redis, prefix: string): Promise<Snapshot> {
  const keys = createKeys(prefix);
  const all = await scan(redis, prefix);
  const snapshot: Snapshot = { jobs: [], named: [], locks: [], reserved: [], told: new Map() };
  snapshot.locks = all.filter((key) => key.endsWith(':lock'));
  for (const lane of LANES) {
    const base = `${keys.queuePrefix(lane)}:${lane.name}:`;
    const places = new Map<string, string[]>();
    const found = async (place: string, ids: string[]) => {
      for (const id of ids) places.set(id, [...(places.get(id) ?? []), place]);
    };
    for (const list of LISTS) await found(list, await redis.lrange(base + list, 0, -1));
    for (const set of SETS) await found(set, await redis.zrange(base + set, '0', '-1'));
    for (const key of all.filter((one) => one.startsWith(base) && !one.endsWith(':lock'))) {
      const id = key.slice(base.length);
      if ((await redis.type(key)) !== 'hash' || id === 'meta') continue;
      snapshot.jobs.push(toStored(lane.name, id, places.get(id) ?? [], await redis.hgetall(key)));
      places.delete(id);
    }
    snapshot.named.push(...[...places].map(([id, where]) => `${lane.name} ${where} ${id}`));
  }
  for (const key of all.filter((one) => RESERVATION.test(one))) {
    snapshot.reserved.push(String(await redis.get(key)).split(' ')[0] as string);
  }
  const streams = LANES.map(({ tag }) => keys.journal(tag));
  for (const { what, outcome, lane, job } of await readJournal(redis, streams)) {
    if (what !== 'attempt.finished' || (outcome !== 'done' && outcome !== 'dead')) continue;
    const ref = `${lane}/${job}`;
    snapshot.told.set(ref, (snapshot.told.get(ref) ?? 0) + 1);
  }
  return snapshot;
}

function toStored(lane: string, id: string, places: string[], hash: Record<string, string>): StoredJob {
  const { payload, key, parent } = openEnvelope(hash.data ?? '');
  const { n, index } = (payload ?? {}) as Partial<Work>;
  const last = readStack(parseStacks(hash.stacktrace).at(-1) ?? '');
  return {
    lane,
    id,
    n: n ?? -1,
    index: index ?? null,
    key,
    parent,
    places,
    deathClass: last?.class ?? null,
    hasTrace: last?.trace.includes('fails on purpose') ?? false,
  };
}

export async function countUnended(redis: Redis, prefix: string): Promise<number> {
  const keys = createKeys(prefix);
  const pipeline = redis.pipeline();
  for (const lane of LANES) {
    const base = `${keys.queuePrefix(lane)}:${lane.name}:`;
    pipeline.llen(`${base}wait`).llen(`${base}active`).zcard(`${base}prioritized`).zcard(`${base}delayed`);
  }
  const replies = (await pipeline.exec()) ?? [];
  return replies.reduce((sum, [, count]) => sum + Number(count), 0);
}

export async function removeAll(redis: Redis, prefix: string): Promise<void> {
  const all = await scan(redis, prefix);
  if (all.length > 0) await redis.unlink(...all);
}

async function scan(redis: Redis, prefix: string): Promise<string[]> {
  const all = new Set<string>();
  let cursor = '0';
  do {
    const [at, page] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 5_000);
    for (const key of page) all.add(key);
    cursor = at;
  } while (cursor !== '0');
  return [...all];
}
