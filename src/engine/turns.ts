// The turns of a pod: one for each of its lanes with `pods: 'one'`. What this pod runs of such a lane ends with its turn.

import type { Attempt } from '../path/attempt.ts';
import { groupAddress } from '../path/group.ts';
import type { Lane } from '../path/lane.ts';
import { attemptOver } from '../path/request.ts';
import type { Turn } from '../path/turn.ts';
import type { Redis } from '../store/connect.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { createRunLease, type RunLease } from './run-lease.ts';

export interface TurnsOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  clock: Clock;
  events: EventHub;
  attempts: ReadonlySet<Attempt>;
}

export interface Turns {
  /** Undefined: all pods run the lane. `turned`: it came or went. */
  of(lane: Lane, turned: () => void): Turn | undefined;
  start(): void;
  /** Gives all back, so that another pod goes on at once. */
  stop(): Promise<unknown>;
}

export function createTurns({ attempts, keys, ...shared }: TurnsOptions): Turns {
  const leases: RunLease[] = [];
  return {
    of(lane, turned) {
      if (lane.pods !== 'one') return undefined;
      const lease = createRunLease({
        ...shared,
        name: { lane: lane.name },
        runKey: keys.run(lane),
        sequenceKey: keys.owner(groupAddress(lane)),
        onHeld: turned,
        onLost(reason) {
          for (const attempt of attempts) {
            if (attempt.lane !== lane) continue;
            attempt.end(attempt.lapsed, attemptOver(attempt, `another pod may run its lane: ${reason}`));
          }
          turned();
        },
      });
      leases.push(lease);
      return lease;
    },
    start() {
      for (const lease of leases) lease.start();
    },
    stop: () => Promise.all(leases.map((lease) => lease.stop())),
  };
}
