// What a handler is given besides its job. Everything that leaves the pod asks first whether the attempt still may.

import type { Logger } from 'pino';
import { classifyThrown } from '../policies/classify.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { INSTANT_FORM, toEpochMs } from '../words/instant.ts';
import type { Attempt } from './attempt.ts';
import { type AddFrom, createHandOver } from './hand-over.ts';
import type { Context } from './handler.ts';
import { createRequest, refuseIfOver } from './request.ts';
import { createSpend } from './spend.ts';
import { Steps } from './steps.ts';

/** What all attempts of a lane share. */
export interface ContextParts {
  laneQueue: LaneQueue;
  clock: Clock;
  events: EventHub;
  log: Logger;
  addFrom: AddFrom;
}

/**
 * Its functions are properties, so that a handler may take it apart, and made on first use: a lane that runs 20,000 jobs a second
 * mostly uses none of them.
 */
export class AttemptContext implements Context {
  readonly #attempt: Attempt;
  readonly #parts: ContextParts;
  #log: Logger | undefined = undefined;
  #fetch: Context['fetch'] | undefined = undefined;
  #add: Context['add'] | undefined = undefined;
  #steps: Steps | undefined = undefined;

  constructor(attempt: Attempt, parts: ContextParts) {
    this.#attempt = attempt;
    this.#parts = parts;
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get fence(): string {
    return this.#attempt.fence.token;
  }

  get log(): Logger {
    const { lane, id, number } = this.#attempt;
    this.#log ??= this.#parts.log.child({ lane: lane.name, job: id, attempt: number });
    return this.#log;
  }

  get fetch(): Context['fetch'] {
    this.#fetch ??= createRequest(this.#attempt, this.#parts.clock);
    return this.#fetch;
  }

  get step(): Context['step'] {
    return (name, work) => this.#ownSteps().run(name, work);
  }

  get optional(): Context['optional'] {
    return (name, work, fallback) =>
      this.#ownSteps().run(name, async () => {
        try {
          return await work();
        } catch (thrown) {
          return this.#degrade(name, thrown, fallback);
        }
      });
  }

  get add(): Context['add'] {
    this.#add ??= createHandOver(this.#attempt, () => this.#ownSteps(), this.#parts.addFrom) as Context['add'];
    return this.#add;
  }

  get progress(): Context['progress'] {
    return async (percent) => {
      refuseIfOver(this.#attempt, 'progress');
      if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) {
        throw wrongOption('LK_INPUT', 'ctx.progress', 'a number from 0 to 100', percent);
      }
      await this.#parts.laneQueue.backend.updateProgress(this.#attempt.id, percent);
    };
  }

  get cooldown(): Context['cooldown'] {
    return (until, reason) => {
      const { hold, lane } = this.#attempt;
      refuseIfOver(this.#attempt, 'cooldown');
      const untilAt = toEpochMs(until);
      if (untilAt === undefined) throw wrongOption('LK_INPUT', 'ctx.cooldown', INSTANT_FORM, until);
      if (typeof reason !== 'string' || reason === '')
        throw wrongOption('LK_INPUT', 'ctx.cooldown', 'a reason', reason);
      if (!hold) throw new LanekeeperError('LK_INPUT', `ctx.cooldown: lane ${quote(lane.name)} has no agents`);
      hold.cooldown(untilAt, reason);
    };
  }

  get spend(): Context['spend'] {
    return createSpend(this.#attempt);
  }

  #ownSteps(): Steps {
    this.#steps ??= new Steps(this.#attempt, this.#parts.laneQueue);
    return this.#steps;
  }

  /** An attempt that is over, and steps that are not what they were, are no failure of the work. */
  #degrade<F>(step: string, thrown: unknown, fallback: F | ((error: Error) => F)): F {
    const { lane, id, number } = this.#attempt;
    const isOurs =
      thrown instanceof LanekeeperError && (thrown.code === 'LK_ATTEMPT_OVER' || thrown.code === 'LK_STEPS');
    if (this.#attempt.ended || isOurs) throw thrown;
    const error = toError(thrown);
    this.#parts.events.emit('step.degraded', {
      lane: lane.name,
      job: id,
      attempt: number,
      step,
      class: classifyThrown(thrown),
      reason: error.message,
    });
    return typeof fallback === 'function' ? (fallback as (error: Error) => F)(error) : fallback;
  }
}
