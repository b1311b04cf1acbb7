// Finds jobs whose pod died: their lock ran out while they were active. Every pod may sweep; a short key lets one do it for
// all, so that idle lanes cost one script per sweep and not one per pod. BullMQ's own script moves them; it does no harm twice.

import { createHash } from 'node:crypto';
import type { Redis } from '../store/connect.ts';
import { type LaneQueue, SWEEP_MS } from '../store/lane-queue.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';

export interface Sweeper {
  start(): void;
  stop(): Promise<void>;
}

export interface SweeperOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  laneQueues: readonly LaneQueue[];
  events: EventHub;
}

export function createSweeper({ pod, redis, keys, laneQueues, events }: SweeperOptions): Sweeper {
  // Pods that run other lanes hold another key: nobody's lanes are left out.
  const names = laneQueues.map(({ lane }) => lane.name).sort();
  const guard = keys.sweep(createHash('sha256').update(names.join()).digest('hex').slice(0, 16));
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> | undefined;

  async function sweep(): Promise<void> {
    try {
      // A little shorter than the period, so that the same pod may win again; its death costs others nothing.
      if (!(await redis.set(guard, pod, 'PX', SWEEP_MS - 200, 'NX'))) return;
      await Promise.all(
        laneQueues.map(async ({ backend, lane }) => {
          for (const job of await backend.moveStalledJobsToWait()) events.emit('job.stalled', { lane: lane.name, job });
        }),
      );
    } catch (error) {
      events.emit('redis.failing', { what: 'sweep', reason: toError(error).message });
    }
  }

  return {
    start() {
      timer = setInterval(() => {
        sweeping ??= sweep().finally(() => {
          sweeping = undefined;
        });
      }, SWEEP_MS);
    },
    async stop() {
      clearInterval(timer);
      await sweeping;
    },
  };
}
