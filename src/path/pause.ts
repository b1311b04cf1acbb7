// Pauses and resumes a lane: BullMQ's own pause, which every fetch asks in its script, and beside it who ordered it and why. Jobs
// that run go on, jobs that come wait; a resume rings the bell.

import { closeIntent } from '../store/intents.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Keys } from '../words/keys.ts';
import { type Order, underIntent } from './audited.ts';

export interface Pause {
  who: string;
  reason: string | null;
  sinceAt: number;
}

/** As it stands in Redis: with the intent of its order, by which the journal is completed if who gave it died. */
export type PauseRecord = Pause & { intent?: string };

/** `null`: paused, but not through us (Bull Board, plain BullMQ), so nobody knows by whom. */
export type PauseSeen = Pause | null;

/** Younger records belong to a pause that is being made right now. */
const IN_THE_MAKING_MS = 10_000;

export async function readPause(laneQueue: LaneQueue, keys: Keys): Promise<PauseSeen | undefined> {
  const record = await readPauseRecord(laneQueue, keys);
  return record && toPause(record);
}

/** For whoever looks after the orders themselves. */
export async function readPauseRecord(
  { queue, redis, lane }: LaneQueue,
  keys: Keys,
): Promise<PauseRecord | null | undefined> {
  const [isPaused, pause] = await Promise.all([queue.isPaused(), readRecord(redis, keys.pause(lane))]);
  return isPaused ? (pause ?? null) : undefined;
}

function toPause({ who, reason, sinceAt }: PauseRecord): Pause {
  return { who, reason, sinceAt };
}

/**
 * The first pause stays: `already` is what it was. The record is written before BullMQ's pause, so a lane that we paused always
 * says by whom. Dying between the two leaves a record and a lane that runs: it is read by nobody, replaced by the next pause and
 * dropped by `forgetStalePause`.
 */
export async function pauseLane(laneQueue: LaneQueue, keys: Keys, pause: Pause): Promise<{ already?: PauseSeen }> {
  const { queue, redis, lane } = laneQueue;
  const already = await readPause(laneQueue, keys);
  if (already !== undefined) return { already };
  await forgetStalePause(laneQueue, keys, pause.sinceAt);
  const key = keys.pause(lane);
  const { who, reason, sinceAt } = pause;
  let other: PauseSeen = null;
  const isFirst = await underIntent(
    laneQueue,
    { what: 'lane.paused', who, reason, before: 'running' },
    async (intent) => {
      const isOurs = (await redis.hsetnx(key, 'pause', JSON.stringify({ who, reason, sinceAt, intent }))) === 1;
      // Also when somebody else is just doing it: pausing twice does no harm.
      await queue.pause();
      if (isOurs) return { after: 'paused' };
      const record = await readRecord(redis, key);
      other = record ? toPause(record) : null;
      return { found: sayPause(other) };
    },
  );
  return isFirst ? {} : { already: other };
}

/** Undefined when it was not paused. Dying between the resume and the deletion leaves a record as above. */
export async function resumeLane(
  laneQueue: LaneQueue,
  keys: Keys,
  { who, reason }: Order,
): Promise<PauseSeen | undefined> {
  const was = await readPauseRecord(laneQueue, keys);
  if (was === undefined) return undefined;
  // Who paused it may have died before the journal said so, and soon nobody can see that it was paused.
  if (was?.intent !== undefined) await tellPaused(laneQueue, was, was.intent);
  const order = {
    what: 'lane.resumed',
    who,
    reason,
    before: sayPause(was),
    seen: { pause: was?.intent ?? null },
  } as const;
  await underIntent(laneQueue, order, async () => {
    await laneQueue.queue.resume();
    await laneQueue.redis.del(keys.pause(laneQueue.lane));
    return { after: 'running' };
  });
  return was && toPause(was);
}

/** Nothing is written when it was told before. */
function tellPaused(laneQueue: LaneQueue, { who, reason }: Pause, intent: string): Promise<boolean> {
  const entry = { lane: laneQueue.lane.name, reason, before: 'running', after: 'paused' };
  return closeIntent(laneQueue, intent, { what: 'lane.paused', who, entry });
}

/** Somebody else's resume leaves our record; it must not answer for the next pause of theirs. */
export async function forgetStalePause({ queue, redis, lane }: LaneQueue, keys: Keys, nowAt: number): Promise<void> {
  const pause = await readRecord(redis, keys.pause(lane));
  if (!pause || nowAt - pause.sinceAt < IN_THE_MAKING_MS || (await queue.isPaused())) return;
  await redis.del(keys.pause(lane));
}

export function sayPause(pause: PauseSeen): string {
  if (pause === null) return 'the lane is paused, not through lanekeeper: by whom and why is unknown';
  return `the lane is paused by ${pause.who}: ${pause.reason ?? 'no reason given'}`;
}

async function readRecord(redis: LaneQueue['redis'], key: string): Promise<PauseRecord | undefined> {
  const json = await redis.hget(key, 'pause');
  return json === null ? undefined : (JSON.parse(json) as PauseRecord);
}
