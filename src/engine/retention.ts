// Removes dead letters that are older, or more, than their lane keeps: oldest first, counted and told, for nobody may miss a
// letter that left without a word. Burying trims nothing, so letters of a time without pods are found as well. Every pod may
// do it; a short key lets one do it for all, and two at once remove nothing twice.

import type { Lane } from '../path/lane.ts';
import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { type Beat, createBeat } from './beat.ts';

/** A lane may stand above its bounds for so long: nobody notices beside days and thousands. */
export const RETENTION_MS = 5_000;
/** Removing one costs Redis 19 us: 200 hold up nobody else for longer than 4 ms. */
const PAGE = 200;
/** 10,000 letters a beat, 2,000 a second: faster than lanes bury, and 100,000 are gone within a minute. */
const PAGES = 50;

export interface RetentionOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  lanes: readonly { lane: Lane; laneQueue: LaneQueue }[];
  events: EventHub;
}

export function createRetention({ pod, redis, keys, lanes, events }: RetentionOptions): Beat {
  let isStopped = false;

  async function work(): Promise<void> {
    // Redis's clock: a pod whose own is a month ahead must not throw a month of letters away.
    const nowAt = await redisNow(redis);
    for (const { lane, laneQueue } of lanes) {
      // A little shorter than the period, so that the same pod may win again; its death costs others nothing.
      const isOurs = await redis.set(keys.retention(lane), pod, 'PX', RETENTION_MS - 200, 'NX');
      if (isOurs && !isStopped) await trim(lane, laneQueue, nowAt);
    }
  }

  async function trim(lane: Lane, laneQueue: LaneQueue, nowAt: number): Promise<void> {
    const agedAt = nowAt - lane.dead.keepMs;
    const aged = await redis.zcount(laneQueue.backend.toKey('failed'), '-inf', agedAt);
    const removed = { age: 0, count: 0 };
    try {
      await remove(laneQueue, agedAt, Math.min(aged, PAGE * PAGES), (count) => {
        removed.age += count;
      });
      const { excess, newestAt } = await readExcess(laneQueue, lane.dead.max);
      await remove(laneQueue, newestAt, Math.min(excess, PAGE * PAGES - removed.age), (count) => {
        removed.count += count;
      });
    } finally {
      if (removed.age > 0) events.emit('dead.expired', { lane: lane.name, count: removed.age, why: 'age' });
      if (removed.count > 0) events.emit('dead.expired', { lane: lane.name, count: removed.count, why: 'count' });
    }
  }

  /**
   * How many there are too many, and when the newest of them died, seen at one instant: what others replay or drop before we
   * remove makes us remove less, never a newer letter.
   */
  async function readExcess({ backend }: LaneQueue, max: number): Promise<{ excess: number; newestAt: number }> {
    const failed = backend.toKey('failed');
    const place = -(max + 1);
    const replies = await redis.multi().zcard(failed).zrange(failed, place, String(place), 'WITHSCORES').exec();
    const [all, newest] = (replies ?? []).map(([error, reply]) => {
      if (error) throw error;
      return reply;
    }) as [number, string[]];
    return { excess: all - max, newestAt: Number(newest[1] ?? 0) };
  }

  /** BullMQ's own script, which looks and removes in one step. Each call leaves an event, so none is made for nothing. */
  async function remove(
    { backend }: LaneQueue,
    untilAt: number,
    most: number,
    tally: (count: number) => void,
  ): Promise<void> {
    for (let left = most; left > 0 && !isStopped; ) {
      const page = Math.min(PAGE, left);
      const { length } = await backend.cleanJobsByState('failed', untilAt, page);
      // Page by page: what was removed before Redis failed is told all the same.
      tally(length);
      left = length < page ? 0 : left - length;
    }
  }

  const beat = createBeat({ what: 'retention', everyMs: RETENTION_MS, events, work });
  return {
    ...beat,
    stop() {
      isStopped = true;
      return beat.stop();
    },
  };
}
