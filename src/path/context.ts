// What a handler is given besides its job. Everything that leaves the pod asks first whether the attempt still may.

import type { Logger } from 'pino';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { wrongOption } from '../words/errors.ts';
import type { Attempt } from './attempt.ts';
import type { Context } from './handler.ts';
import { createRequest, refuseIfOver } from './request.ts';

export function createContext(attempt: Attempt, { backend }: LaneQueue, clock: Clock, log: Logger): Context {
  let own: Logger | undefined;
  let request: Context['fetch'] | undefined;
  return {
    clock,
    // Made on first use: a lane that runs 15,000 jobs a second mostly uses none of these.
    get signal() {
      return attempt.signal;
    },
    get fence() {
      return String(attempt.start);
    },
    get log() {
      own ??= log.child({ lane: attempt.lane.name, job: attempt.id, attempt: attempt.number });
      return own;
    },
    get fetch() {
      request ??= createRequest(attempt, clock);
      return request;
    },
    async progress(percent) {
      refuseIfOver(attempt, 'progress');
      if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) {
        throw wrongOption('LK_INPUT', 'ctx.progress', 'a number from 0 to 100', percent);
      }
      await backend.updateProgress(attempt.id, percent);
    },
  };
}
