// Tells once that Redis has become nearly full, and once that it has room again: log and journal hear of it from one pod, though
// every pod looks. From in between producers refuse (path/pressure); pods go on.

import type { Redis } from '../store/connect.ts';
import { isFull, readInfo, toMemory } from '../store/redis-info.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { type Beat, createBeat } from './beat.ts';

const LOOK_MS = 2_000;
const NOTE_TTL_MS = 24 * 3_600_000;

export function createMemoryWatch(pod: string, redis: Redis, keys: Keys, events: EventHub): Beat {
  let wasFull: boolean | undefined;
  /** Told without a note in Redis, which had no room for one. */
  let hasToldAlone = false;

  async function look(): Promise<void> {
    const memory = toMemory(await readInfo(redis, 'memory'));
    if (!memory) return;
    const isFullNow = isFull(memory, wasFull ?? false);
    const { ratio, limitBytes } = memory;
    // The first look of a pod tells the end too: whoever told the beginning may be gone.
    if (isFullNow && !wasFull && (await noteFull())) events.emit('redis.full', { ratio, limitBytes });
    if (!isFullNow && wasFull !== false && (await noteRoomy())) events.emit('redis.roomy', { ratio, limitBytes });
    wasFull = isFullNow;
  }

  async function noteFull(): Promise<boolean> {
    try {
      return (await redis.set(keys.full(), pod, 'PX', NOTE_TTL_MS, 'NX')) !== null;
    } catch {
      hasToldAlone = true;
      return true;
    }
  }

  async function noteRoomy(): Promise<boolean> {
    const isMine = (await redis.del(keys.full())) === 1 || hasToldAlone;
    hasToldAlone = false;
    return isMine;
  }

  // Redis away, or INFO not allowed: told elsewhere, or nothing to tell.
  const work = () => look().catch(() => {});
  return createBeat({ what: 'watch memory', everyMs: LOOK_MS, events, work });
}
