// Work that one process does for all, every few seconds: a short key lets one in and keeps the others out. Whoever finds it
// free goes next, so the death of one costs a beat and no more. The work must do no harm when two do it at once.

import { createHash } from 'node:crypto';
import type { Redis } from '../store/connect.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';

export interface GuardedBeat {
  start(): void;
  stop(): Promise<void>;
}

export interface GuardedBeatOptions {
  what: string;
  who: string;
  redis: Redis;
  guard: string;
  everyMs: number;
  events: EventHub;
  work: () => Promise<void>;
}

export function createGuardedBeat({ what, who, redis, guard, everyMs, events, work }: GuardedBeatOptions): GuardedBeat {
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let isFailing = false;

  async function beat(): Promise<void> {
    try {
      // A little shorter than the period, so that the same process may win again.
      if (await redis.set(guard, who, 'PX', everyMs - Math.min(200, everyMs / 4), 'NX')) await work();
      isFailing = false;
    } catch (error) {
      // Told when it begins: with Redis away this comes round every time.
      if (!isFailing) events.emit('redis.failing', { what, reason: toError(error).message });
      isFailing = true;
    }
  }

  return {
    start() {
      timer = setInterval(() => {
        working ??= beat().finally(() => {
          working = undefined;
        });
      }, everyMs);
    },
    async stop() {
      clearInterval(timer);
      await working;
    },
  };
}

/** Processes that know the same lanes share a guard; those that know others hold another: nobody's lanes are left out. */
export function guardOf(lanes: readonly { name: string }[]): string {
  const names = lanes.map(({ name }) => name).sort();
  return createHash('sha256').update(names.join()).digest('hex').slice(0, 16);
}
