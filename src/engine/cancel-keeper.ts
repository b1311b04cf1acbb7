// Carries out cancel orders in this pod: ends the attempts that are meant, and takes out jobs that went back into their line
// before their order reached anybody. One small read for all lanes, twice a second while attempts run.

import type { Attempt } from '../path/attempt.ts';
import { cancelJob } from '../path/cancel.ts';
import { type CancelOrder, readCancelOrders, withdrawCancelOrder } from '../path/cancel-orders.ts';
import { showJob } from '../path/inspect.ts';
import { attemptOver } from '../path/request.ts';
import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { type Beat, createBeat } from './beat.ts';

/** An order reaches its pod within 1 s: half of that for the look. */
const LOOK_MS = 500;
/** A pod with nothing to do looks every fourth time: an order may be for a job that waits again. */
const IDLE_LOOKS = 4;
/** Younger orders are still in the hands of who gave them. */
const RIPE_MS = 1_000;

export interface CancelKeeperOptions {
  attempts: ReadonlySet<Attempt>;
  laneQueues: ReadonlyMap<string, LaneQueue>;
  redis: Redis;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

export function createCancelKeeper(options: CancelKeeperOptions): Beat {
  const { attempts, laneQueues, redis, keys, clock, events } = options;
  let looks = 0;

  async function look(): Promise<void> {
    if (attempts.size === 0 && looks++ % IDLE_LOOKS !== 0) return;
    for (const order of await readCancelOrders(redis, keys)) {
      if (endAttempt(order)) continue;
      if (clock.now() - order.orderedAt >= RIPE_MS) await takeOut(order);
    }
  }

  /** True when its job runs here. */
  function endAttempt(order: CancelOrder): boolean {
    for (const attempt of attempts) {
      if (attempt.id !== order.job || attempt.lane.name !== order.lane) continue;
      if (attempt.raw.timestamp !== order.enqueuedAt) continue;
      if (!attempt.ended) {
        attempt.cancelledBy = order;
        attempt.end('cancelled', attemptOver(attempt, `${order.who} cancelled it`));
      }
      return true;
    }
    return false;
  }

  /** BullMQ's script removes a job once, so of many pods one tells it. An order for what is over is void. */
  async function takeOut({ lane, job: id, enqueuedAt, reason, who }: CancelOrder): Promise<void> {
    const laneQueue = laneQueues.get(lane);
    if (!laneQueue) return;
    try {
      const job = await showJob(laneQueue, id);
      if (job.enqueuedAt === enqueuedAt) {
        if (job.state === 'active') return;
        await cancelJob(laneQueue, keys, id);
        events.emit('job.cancelled', { lane, job: id, reason, before: job.state, after: 'gone', who });
      }
    } catch (error) {
      if (!(error instanceof LanekeeperError)) throw error;
      // Gone, done or dead: nothing is left to cancel. Fetched just now: the next look finds its attempt.
      if ((await laneQueue.backend.getState(id)) === 'active') return;
    }
    await withdrawCancelOrder(redis, keys, lane, id);
  }

  events.on('job.cancelled', ({ lane, job }) => {
    // Dying before this leaves an order for a job that is gone: the next look of any pod drops it.
    void withdrawCancelOrder(redis, keys, lane, job).catch(() => {});
  });

  return createBeat({ what: 'read cancel orders', everyMs: LOOK_MS, events, work: look });
}
