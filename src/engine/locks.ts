// Keeps the locks of the attempts that run here, all lanes in one beat. A lock that could not be renewed in time, by this
// pod's monotonic clock, ends its attempt before Redis gives the job to another pod.

import type { Attempt } from '../path/attempt.ts';
import { lockDeadline } from '../path/attempt.ts';
import { attemptOver } from '../path/request.ts';
import { type LaneQueue, LOCK_MS } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';

/** A quarter of the lock: an 8 s hang of Redis right before a renewal still leaves 7 s. */
const RENEW_MS = LOCK_MS / 4;
const LOOK_MS = 1_000;

export interface LockKeeper {
  start(): void;
  stop(): void;
}

export interface LockKeeperOptions {
  attempts: ReadonlySet<Attempt>;
  queueOf: (lane: string) => LaneQueue;
  clock: Clock;
  events: EventHub;
}

export function createLockKeeper({ attempts, queueOf, clock, events }: LockKeeperOptions): LockKeeper {
  let timer: NodeJS.Timeout | undefined;
  const renewing = new Set<string>();

  function look(): void {
    const due = new Map<string, Attempt[]>();
    for (const attempt of attempts) {
      if (attempt.ended && !attempt.isSettling) continue;
      if (!attempt.isLocked()) {
        attempt.end(attempt.lapsed, attemptOver(attempt, 'its lock could not be renewed in time'));
        continue;
      }
      const heldMs = clock.mono() - (attempt.lockedUntilMono - lockDeadline(0));
      if (heldMs < RENEW_MS || renewing.has(attempt.lane.name)) continue;
      const list = due.get(attempt.lane.name) ?? [];
      list.push(attempt);
      due.set(attempt.lane.name, list);
    }
    for (const [lane, list] of due) void renew(lane, list);
  }

  async function renew(lane: string, list: Attempt[]): Promise<void> {
    renewing.add(lane);
    const askedAt = clock.mono();
    try {
      const failed = await queueOf(lane).backend.extendLocks(
        list.map((attempt) => attempt.id),
        list.map((attempt) => attempt.token),
        LOCK_MS,
      );
      for (const attempt of list) {
        if (!failed.includes(attempt.id)) attempt.lockedUntilMono = lockDeadline(askedAt);
        // While it settles, the lock goes with the settle; whether that was in time its own script says.
        else if (!attempt.isSettling) attempt.end('lost', attemptOver(attempt, 'another pod may have its job'));
      }
    } catch (error) {
      events.emit('redis.failing', { what: `renew locks of ${lane}`, reason: toError(error).message });
    } finally {
      renewing.delete(lane);
    }
  }

  return {
    start() {
      timer = setInterval(look, LOOK_MS);
    },
    stop() {
      clearInterval(timer);
    },
  };
}
