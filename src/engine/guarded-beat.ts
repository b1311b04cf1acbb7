// Work that one process does for all, every few seconds: a short key lets one in and keeps the others out. Whoever finds it
// free goes next, so the death of one costs a beat and no more. The work must do no harm when two do it at once.

import { createHash } from 'node:crypto';
import type { Redis } from '../store/connect.ts';
import { type Beat, type BeatOptions, createBeat } from './beat.ts';

export interface GuardedBeatOptions extends BeatOptions {
  who: string;
  redis: Redis;
  guard: string;
}

export function createGuardedBeat({ who, redis, guard, work, ...beat }: GuardedBeatOptions): Beat {
  // A little shorter than the period, so that the same process may win again.
  const heldMs = beat.everyMs - Math.min(200, beat.everyMs / 4);
  return createBeat({
    ...beat,
    async work() {
      if (await redis.set(guard, who, 'PX', heldMs, 'NX')) await work();
    },
  });
}

/** Processes that know the same lanes share a guard; those that know others hold another: nobody's lanes are left out. */
export function guardOf(lanes: readonly { name: string }[]): string {
  const names = lanes.map(({ name }) => name).sort();
  return createHash('sha256').update(names.join()).digest('hex').slice(0, 16);
}
