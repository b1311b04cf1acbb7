// Keeps the journal within its age: its streams lose what is older than 30 days, by Redis's clock, whether anybody writes to them or
// not. Its size is kept with each write (store/journal-stream). One pod does it for all; a reader that had not come so far is told.

import type { Redis } from '../store/connect.ts';
import { trimStream } from '../store/journal-stream.ts';
import { redisNow } from '../store/redis-now.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

/** A dead letter is kept as long, and its history must not be shorter. */
export const KEEP_MS = 30 * 24 * 3_600_000;
/** Nobody notices a minute beside 30 days. */
const EVERY_MS = 60_000;

export interface JournalTrimOptions {
  who: string;
  redis: Redis;
  keys: Keys;
  tags: readonly string[];
  events: EventHub;
}

export function createJournalTrim({ who, redis, keys, tags, events }: JournalTrimOptions): Beat {
  const streams = [...tags.map((tag) => keys.journal(tag)), keys.fleetJournal()];

  async function work(): Promise<void> {
    const beforeAt = (await redisNow(redis)) - KEEP_MS;
    for (const stream of streams) await trimStream(redis, stream, beforeAt);
  }

  const guard = keys.beat('journal', guardOf(tags.map((name) => ({ name }))));
  return createGuardedBeat({ what: 'trim the journal', who, redis, guard, everyMs: EVERY_MS, events, work });
}
