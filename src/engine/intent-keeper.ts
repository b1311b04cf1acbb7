// Finds orders that were begun and whose result is not in the journal, because who gave them died in between; looks at what is the
// case and writes that, with `found` for what it saw. It changes nothing itself: an order that did not happen stays so. One
// pod does it for all, also on lanes that no pod runs; two at once write nothing twice.

import { voidOrder } from '../path/audited.ts';
import { readCancelOrders } from '../path/cancel-orders.ts';
import { countDisplaced, type DisplacedOwner } from '../path/displaced-orders.ts';
import { type JobView, showJob } from '../path/inspect.ts';
import { readPauseRecord, sayPause } from '../path/pause.ts';
import type { Redis } from '../store/connect.ts';
import { closeIntent, type OpenIntent, readIntents } from '../store/intents.ts';
import { type LaneQueue, openLaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import { LanekeeperError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat } from './guarded-beat.ts';

/** Younger ones are in the hands of who gave them: a change takes milliseconds, a Redis that hangs 8 s. */
export const RIPE_MS = 10_000;
const EVERY_MS = 5_000;
/** Who was stopped for longer than that between an order's two halves is not heard when it wakes. */
const FORGET_MS = 3_600_000;

export interface IntentKeeperOptions {
  who: string;
  redis: Redis;
  keys: Keys;
  events: EventHub;
  ripeMs?: number;
}

/** `after`: it happened. Otherwise it did not, or nobody can tell. */
interface Verdict {
  after?: string;
  found: string;
}

export function createIntentKeeper(options: IntentKeeperOptions): Beat {
  const { who, redis, keys, events, ripeMs = RIPE_MS } = options;

  async function work(): Promise<void> {
    const nowAt = await redisNow(redis);
    for (const tag of await redis.smembers(keys.intentTags())) await lookAtTag(tag, nowAt);
  }

  async function lookAtTag(tag: string, nowAt: number): Promise<void> {
    const intents = keys.intents(tag);
    const { open, closed } = await readIntents({ redis, intents });
    const failed: unknown[] = [];
    for (const intent of open) {
      if (nowAt - intent.at < ripeMs) continue;
      // Rare: one that stays open would cost this pod a queue for each lane of the fleet.
      const laneQueue = openLaneQueue(redis, keys, { name: intent.entry.lane, tag });
      // One that cannot be looked at holds up none of the others.
      await close(laneQueue, intent).catch((error) => failed.push(error));
      await laneQueue.close();
    }
    const old = closed.filter(([, at]) => nowAt - at > FORGET_MS).map(([id]) => id);
    if (old.length > 0) await redis.hdel(intents, ...old);
    if (failed.length > 0) throw failed[0];
  }

  async function close(laneQueue: LaneQueue, intent: OpenIntent): Promise<void> {
    const { id, what, who: by, entry } = intent;
    if (isOverMany(what)) {
      const found = await lookAtMany(laneQueue, keys, intent);
      await closeIntent(laneQueue, id, { what, who: by, entry: { ...entry, isStopped: true, found } }, true);
      return;
    }
    const { after, found } = await look(laneQueue, keys, { ...intent, what });
    if (after === undefined) await voidOrder(laneQueue, id, intent, found, true);
    else await closeIntent(laneQueue, id, { what, who: by, entry: { ...entry, after, found } });
  }

  const guard = keys.beat('intents', 'all');
  return createGuardedBeat({ what: 'look for open intents', who, redis, guard, everyMs: EVERY_MS, events, work });
}

const OVER_MANY = ['dead.replayed', 'dead.dropped', 'jobs.adopted', 'jobs.dropped'] as const;
type OverMany = (typeof OVER_MANY)[number];
type OfOne = OpenIntent & { what: Exclude<OpenIntent['what'], OverMany> };

function isOverMany(what: OpenIntent['what']): what is OverMany {
  return (OVER_MANY as readonly string[]).includes(what);
}

/** What is left of what it was about; its entry says how much was surely done. */
async function lookAtMany(laneQueue: LaneQueue, keys: Keys, { what, entry }: OpenIntent): Promise<string> {
  const found = 'its process gave no sign of life: it may have done more';
  if (what !== 'jobs.adopted' && what !== 'jobs.dropped') return found;
  const left = await countDisplaced({ laneQueue, keys, of: entry.of as DisplacedOwner });
  return `${found}; ${left} of theirs still lie aside`;
}

async function look(laneQueue: LaneQueue, keys: Keys, { id, what, entry, seen }: OfOne): Promise<Verdict> {
  const job = entry.job ?? '';
  switch (what) {
    case 'lane.paused': {
      const pause = await readPauseRecord(laneQueue, keys);
      if (pause === undefined) return { found: 'running' };
      return pause?.intent === id ? { after: 'paused', found: 'paused' } : { found: sayPause(pause) };
    }
    case 'lane.resumed': {
      const pause = await readPauseRecord(laneQueue, keys);
      if (pause === undefined) return { after: 'running', found: 'running' };
      const isAsBefore = (pause?.intent ?? null) === seen.pause;
      // Paused anew: so it was resumed before.
      return isAsBefore ? { found: sayPause(pause) } : { after: 'running', found: sayPause(pause) };
    }
    case 'cancel.ordered': {
      const orders = await readCancelOrders(laneQueue.redis, keys);
      if (orders.some(({ intent }) => intent === id)) return { after: 'ordered', found: 'the order stands' };
      const state = await stateOf(laneQueue, job, seen.enqueuedAt);
      return state === undefined
        ? { after: 'ordered', found: 'the job is gone' }
        : { found: `${state.state}, no order` };
    }
    case 'job.cancelled': {
      const state = await stateOf(laneQueue, job, seen.enqueuedAt);
      return state === undefined ? { after: 'gone', found: 'the job is gone' } : { found: state.state };
    }
    case 'job.replayed': {
      const letter = await stateOf(laneQueue, job);
      // Dropped by somebody else, whom the journal knows.
      if (letter === undefined) return { found: 'the job is gone' };
      if (letter.state !== 'dead') return { after: 'waiting', found: letter.state };
      return letter.finishedAt === seen.diedAt ? { found: 'dead' } : { after: 'waiting', found: 'dead again' };
    }
  }
}

/** Undefined: gone, or made anew by its key. */
async function stateOf(laneQueue: LaneQueue, job: string, enqueuedAt?: unknown): Promise<JobView | undefined> {
  try {
    const view = await showJob(laneQueue, job);
    return enqueuedAt === undefined || view.enqueuedAt === enqueuedAt ? view : undefined;
  } catch (error) {
    if (error instanceof LanekeeperError && error.code === 'LK_UNKNOWN') return undefined;
    throw error;
  }
}
