// The time by Redis, epoch ms. What pods must agree on is asked of it: the clock of whoever asks may be wrong.

import type { Redis } from './connect.ts';

export async function redisNow(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
