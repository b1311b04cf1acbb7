// Which pods run, and what. Each says so every few seconds in one hash; a reader judges by the age of the last word, by the
// time of Redis, so that a pod with a wrong clock looks neither dead nor immortal.

import type { Redis } from '../store/connect.ts';
import { redisNow } from '../store/redis-now.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { type Beat, createBeat } from './beat.ts';

const BEAT_MS = 2_000;
/** Three beats missed: gone. */
const GONE_MS = 7_000;
const FORGET_MS = 60_000;
const SURE_MS = 200;

export interface PodFacts {
  pid: number;
  host: string;
  lanes: string[];
  concurrency: number;
  state: 'running' | 'draining';
  startedAt: number;
  metricsUrl: string | null;
  /** Of this package. */
  version: string;
  /** Lane -> print of its definition: pods that differ run different policies on one lane. */
  prints: Record<string, string>;
}

export interface PodSeen extends PodFacts {
  pod: string;
  seenAt: number;
  isAlive: boolean;
  /** Its clock minus that of Redis; null while it could not be told. */
  skewMs: number | null;
}

export interface PresenceOptions {
  redis: Redis;
  keys: Keys;
  pod: string;
  clock: Clock;
  events: EventHub;
}

export function createPresence({ redis, keys, pod, clock, events }: PresenceOptions, facts: () => PodFacts): Beat {
  let skewMs: number | null = null;
  const work = async () => {
    try {
      const [askedAt, askedMonoAt] = [clock.now(), clock.mono()];
      const seenAt = await redisNow(redis);
      const tookMs = clock.mono() - askedMonoAt;
      // An answer that took long may be from either end of the wait.
      if (tookMs < SURE_MS) skewMs = Math.round(askedAt + tookMs / 2 - seenAt);
      await redis.hset(keys.pods(), pod, JSON.stringify({ ...facts(), seenAt, skewMs }));
    } catch (thrown) {
      // Redis away is told elsewhere; the next beat says all there is to say.
      if (toError(thrown).name === 'ReplyError') throw thrown;
    }
  };
  const beat = createBeat({ what: 'heartbeat', everyMs: BEAT_MS, events, work });
  return {
    ...beat,
    start() {
      void beat.once();
      beat.start();
    },
    async stop() {
      // A beat under way would bring it back.
      await beat.stop();
      await redis.hdel(keys.pods(), pod).catch(() => {});
    },
  };
}

/** Every pod heard of in the last minute. Older entries are dropped on the way: their pods were killed. */
export async function readPods(redis: Redis, keys: Keys): Promise<PodSeen[]> {
  const [all, nowAt] = await Promise.all([redis.hgetall(keys.pods()), redisNow(redis)]);
  const seen = Object.entries(all).map(([pod, json]) => {
    const facts = JSON.parse(json) as PodFacts & { seenAt: number; skewMs: number | null };
    return { ...facts, pod, isAlive: nowAt - facts.seenAt < GONE_MS };
  });
  const forgotten = seen.filter(({ seenAt }) => nowAt - seenAt > FORGET_MS).map(({ pod }) => pod);
  if (forgotten.length > 0) await redis.hdel(keys.pods(), ...forgotten);
  return seen.filter(({ pod }) => !forgotten.includes(pod)).sort((a, b) => a.pod.localeCompare(b.pod));
}
