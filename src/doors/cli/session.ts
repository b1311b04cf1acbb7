// What a command works with: the settings, the definitions of its folder, and a Redis that answers.

import { resolve } from 'node:path';
import { type Definitions, loadDefinitions, type Wanted } from '../../engine/definitions.ts';
import { createJournal, type Journal } from '../../engine/journal.ts';
import { type PodSeen, readPods } from '../../engine/presence.ts';
import type { Lane } from '../../path/lane.ts';
import { openProducer, type Producer } from '../../path/producer.ts';
import type { Upstream } from '../../path/upstream.ts';
import { connectRedis, type Redis } from '../../store/connect.ts';
import { readRunning } from '../../store/embedded-running.ts';
import { type LaneQueue, openLaneQueue } from '../../store/lane-queue.ts';
import { chooseLocks } from '../../store/ownership/choose-locks.ts';
import type { OwnerLocks } from '../../store/ownership/owner-locks.ts';
import { systemClock } from '../../words/clock.ts';
import { type Config, readConfig } from '../../words/config.ts';
import { LanekeeperError, quote } from '../../words/errors.ts';
import { createKeys, type Keys } from '../../words/keys.ts';
import { whoami } from '../../words/whoami.ts';
import { warn } from './print.ts';

export interface DirOption {
  dir: string;
}

export function readSettings({ dir }: DirOption): Config & { dir: string } {
  const base = resolve(dir);
  const config = readConfig(process.env, base);
  for (const name of process.send ? [] : config.unbuilt) warn(`${name} is not built yet: it is ignored`);
  return { ...config, dir: base };
}

/**
 * Loads a folder and says, one line each, which of its options nothing acts on yet. A child of `up` says nothing: its parent
 * has said it, once for all.
 */
export async function loadAndWarn(dir: string, wanted: Wanted): Promise<Definitions> {
  const definitions = await loadDefinitions(dir, wanted);
  for (const { where, option } of process.send ? [] : definitions.unbuilt)
    warn(`${where}: ${option} is not built yet: it is ignored`);
  return definitions;
}

/** REDIS_URL, or the one that `up` runs on this folder's data. */
export async function findRedisUrl(config: Config): Promise<string> {
  if (config.redisUrl) return config.redisUrl;
  const running = await readRunning(config.dataDir);
  if (running) return running.url;
  throw new LanekeeperError(
    'LK_NOT_RUNNING',
    `nothing runs on ${config.dataDir}: start it with 'lanekeeper up' (in this repository: npm start), or set REDIS_URL`,
  );
}

export interface Session extends AsyncDisposable {
  readonly definitions: Definitions;
  readonly redis: Redis;
  readonly keys: Keys;
  /** Who decides who owns a lane. */
  readonly locks: OwnerLocks;
  /** user@host: who gives the orders of this session. */
  readonly who: string;
  readonly producer: Producer;
  lane(name: string): Lane;
  upstream(name: string): Upstream;
  queue(lane: Lane): LaneQueue;
  /** Pods alive now that run the lane; all of them without one. */
  pods(lane?: Lane): Promise<PodSeen[]>;
  /** Writes an order to the journal and waits until it stands. */
  readonly append: Journal['append'];
}

export async function openSession(options: DirOption): Promise<Session> {
  const config = readSettings(options);
  const definitions = await loadDefinitions(config.dir, 'definitions');
  const url = await findRedisUrl(config);
  const redis = await connectRedis(url, 'producer');
  const keys = createKeys(config.prefix);
  const queues = new Map<string, LaneQueue>();
  const tagOf = (lane: string) => definitions.lanes.get(lane)?.tag;
  const who = whoami();
  const journal = createJournal({ redis, keys, who, tagOf, clock: systemClock });
  const locks = chooseLocks(redis, keys, config.lockUrls);
  const producer = openProducer(redis, url, config.prefix, systemClock, locks);
  return {
    definitions,
    redis,
    keys,
    who,
    locks,
    producer,
    append: journal.append,
    lane(name) {
      const lane = definitions.lanes.get(name);
      if (lane) return lane;
      const known = [...definitions.lanes.keys()].join(', ') || 'none';
      throw new LanekeeperError('LK_UNKNOWN', `no lane ${quote(name)} in ${config.dir}: expected one of ${known}`);
    },
    upstream(name) {
      const upstream = definitions.upstreams.get(name);
      if (upstream) return upstream;
      const known = [...definitions.upstreams.keys()].join(', ') || 'none';
      throw new LanekeeperError('LK_UNKNOWN', `no upstream ${quote(name)} in ${config.dir}: expected one of ${known}`);
    },
    queue(lane) {
      const open = queues.get(lane.name) ?? openLaneQueue(redis, keys, lane);
      queues.set(lane.name, open);
      return open;
    },
    async pods(lane) {
      const pods = (await readPods(redis, keys)).filter(({ isAlive }) => isAlive);
      return lane ? pods.filter(({ lanes, state }) => state === 'running' && lanes.includes(lane.name)) : pods;
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      redis.disconnect();
    },
  };
}
