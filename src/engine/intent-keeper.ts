// Finds orders that were begun and whose result is not in the journal, because who gave them died in between; looks at what is the
// case and writes that, with `found` for what it saw. It changes nothing itself: an order that did not happen stays so. One
// pod does it for all; two at once write nothing twice.

import { voidOrder } from '../path/audited.ts';
import { readCancelOrders } from '../path/cancel-orders.ts';
import { type JobView, showJob } from '../path/inspect.ts';
import { readPauseRecord, sayPause } from '../path/pause.ts';
import type { Redis } from '../store/connect.ts';
import { closeIntent, type OpenIntent, readIntents } from '../store/intents.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import { LanekeeperError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

/** Younger ones are in the hands of who gave them: a change takes milliseconds, a Redis that hangs 8 s. */
export const RIPE_MS = 10_000;
const EVERY_MS = 5_000;
/** Who was stopped for longer than that between an order's two halves is not heard when it wakes. */
const FORGET_MS = 3_600_000;

export interface IntentKeeperOptions {
  who: string;
  redis: Redis;
  keys: Keys;
  laneQueues: readonly LaneQueue[];
  events: EventHub;
  ripeMs?: number;
}

/** `after`: it happened. Otherwise it did not, or nobody can tell. */
interface Verdict {
  after?: string;
  found: string;
}

export function createIntentKeeper(options: IntentKeeperOptions): Beat {
  const { who, redis, keys, laneQueues, events, ripeMs = RIPE_MS } = options;
  const byTag = new Map<string, LaneQueue[]>();
  for (const one of laneQueues) byTag.set(one.lane.tag, [...(byTag.get(one.lane.tag) ?? []), one]);

  async function work(): Promise<void> {
    const nowAt = await redisNow(redis);
    for (const ofTag of byTag.values()) await lookAtTag(ofTag, nowAt);
  }

  async function lookAtTag(ofTag: readonly LaneQueue[], nowAt: number): Promise<void> {
    const [first] = ofTag as [LaneQueue];
    const { open, closed } = await readIntents(first);
    const failed: unknown[] = [];
    for (const intent of open) {
      const laneQueue = ofTag.find(({ lane }) => lane.name === intent.entry.lane);
      // Of a lane that this pod does not know: another's, or nobody's.
      if (!laneQueue || nowAt - intent.at < ripeMs) continue;
      // One that cannot be looked at holds up none of the others.
      await close(laneQueue, intent).catch((error) => failed.push(error));
    }
    const old = closed.filter(([, at]) => nowAt - at > FORGET_MS).map(([id]) => id);
    if (old.length > 0) await redis.hdel(first.intents, ...old);
    if (failed.length > 0) throw failed[0];
  }

  async function close(laneQueue: LaneQueue, intent: OpenIntent): Promise<void> {
    const { id, what, who: by, entry } = intent;
    if (what === 'dead.replayed' || what === 'dead.dropped') {
      const found = 'its process gave no sign of life: it may have done more';
      await closeIntent(laneQueue, id, { what, who: by, entry: { ...entry, isStopped: true, found } }, true);
      return;
    }
    const { after, found } = await look(laneQueue, keys, { ...intent, what });
    if (after === undefined) await voidOrder(laneQueue, id, intent, found, true);
    else await closeIntent(laneQueue, id, { what, who: by, entry: { ...entry, after, found } });
  }

  const guard = keys.beat('intents', guardOf(laneQueues.map(({ lane }) => lane)));
  return createGuardedBeat({ what: 'look for open intents', who, redis, guard, everyMs: EVERY_MS, events, work });
}

type Looked = OpenIntent & { what: Exclude<OpenIntent['what'], 'dead.replayed' | 'dead.dropped'> };

async function look(laneQueue: LaneQueue, keys: Keys, { id, what, entry, seen }: Looked): Promise<Verdict> {
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
