// What a handler is given besides its job. Everything that leaves the pod asks first whether the attempt still may.

import type { Logger } from 'pino';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { wrongOption } from '../words/errors.ts';
import type { Attempt } from './attempt.ts';
import type { Context } from './handler.ts';
import { createRequest, refuseIfOver } from './request.ts';

/** What it holds is made on first use: a lane that runs 20,000 jobs a second mostly uses none of it. */
export class AttemptContext implements Context {
  readonly clock: Clock;
  readonly #attempt: Attempt;
  readonly #laneQueue: LaneQueue;
  readonly #podLog: Logger;
  #log: Logger | undefined = undefined;
  #fetch: Context['fetch'] | undefined = undefined;

  constructor(attempt: Attempt, laneQueue: LaneQueue, clock: Clock, podLog: Logger) {
    this.clock = clock;
    this.#attempt = attempt;
    this.#laneQueue = laneQueue;
    this.#podLog = podLog;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get fence(): string {
    return String(this.#attempt.start);
  }

  get log(): Logger {
    const { lane, id, number } = this.#attempt;
    this.#log ??= this.#podLog.child({ lane: lane.name, job: id, attempt: number });
    return this.#log;
  }

  get fetch(): Context['fetch'] {
    this.#fetch ??= createRequest(this.#attempt, this.clock);
    return this.#fetch;
  }

  // A property, so that a handler may take it apart: `const { progress } = ctx`.
  get progress(): Context['progress'] {
    return async (percent) => {
      refuseIfOver(this.#attempt, 'progress');
      if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) {
        throw wrongOption('LK_INPUT', 'ctx.progress', 'a number from 0 to 100', percent);
      }
      await this.#laneQueue.backend.updateProgress(this.#attempt.id, percent);
    };
  }
}
