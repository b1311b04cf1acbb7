// Which pods run, and what. Each says so every few seconds in one hash; a reader judges by the age of the last word, by the
// time of Redis, so that a pod with a wrong clock looks neither dead nor immortal.

import type { Redis } from '../store/connect.ts';
import type { Keys } from '../words/keys.ts';

const BEAT_MS = 2_000;
/** Three beats missed: gone. */
const GONE_MS = 7_000;
const FORGET_MS = 60_000;

export interface PodFacts {
  pid: number;
  host: string;
  lanes: string[];
  concurrency: number;
  state: 'running' | 'draining';
  startedAt: number;
  metricsUrl: string | null;
}

export interface PodSeen extends PodFacts {
  pod: string;
  seenAt: number;
  isAlive: boolean;
}

export interface Presence {
  start(): void;
  stop(): Promise<void>;
}

export function createPresence(redis: Redis, keys: Keys, pod: string, facts: () => PodFacts): Presence {
  let timer: NodeJS.Timeout | undefined;
  const beat = async () => {
    const seenAt = await redisNow(redis);
    await redis.hset(keys.pods(), pod, JSON.stringify({ ...facts(), seenAt }));
  };
  return {
    start() {
      // Redis away is told elsewhere; the next beat says all there is to say.
      void beat().catch(() => {});
      timer = setInterval(() => void beat().catch(() => {}), BEAT_MS);
    },
    async stop() {
      clearInterval(timer);
      await redis.hdel(keys.pods(), pod).catch(() => {});
    },
  };
}

/** Every pod heard of in the last minute. Older entries are dropped on the way: their pods were killed. */
export async function readPods(redis: Redis, keys: Keys): Promise<PodSeen[]> {
  const [all, nowAt] = await Promise.all([redis.hgetall(keys.pods()), redisNow(redis)]);
  const seen = Object.entries(all).map(([pod, json]) => {
    const facts = JSON.parse(json) as PodFacts & { seenAt: number };
    return { ...facts, pod, isAlive: nowAt - facts.seenAt < GONE_MS };
  });
  const forgotten = seen.filter(({ seenAt }) => nowAt - seenAt > FORGET_MS).map(({ pod }) => pod);
  if (forgotten.length > 0) await redis.hdel(keys.pods(), ...forgotten);
  return seen.filter(({ pod }) => !forgotten.includes(pod)).sort((a, b) => a.pod.localeCompare(b.pod));
}

export async function redisNow(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
