// Finds jobs whose pod died: their lock ran out while they were active. BullMQ's own script moves them; it does no harm twice.

import type { Redis } from '../store/connect.ts';
import { type LaneQueue, SWEEP_MS } from '../store/lane-queue.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

export interface SweeperOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  laneQueues: readonly LaneQueue[];
  events: EventHub;
}

export function createSweeper({ pod, redis, keys, laneQueues, events }: SweeperOptions): Beat {
  const guard = keys.beat('sweep', guardOf(laneQueues.map(({ lane }) => lane)));

  async function work(): Promise<void> {
    await Promise.all(
      laneQueues.map(async ({ backend, lane }) => {
        for (const job of await backend.moveStalledJobsToWait()) events.emit('job.stalled', { lane: lane.name, job });
      }),
    );
  }

  return createGuardedBeat({ what: 'sweep', who: pod, redis, guard, everyMs: SWEEP_MS, events, work });
}
