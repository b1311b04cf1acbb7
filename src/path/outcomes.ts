// What an attempt came to, as an outcome: from what the handler returned, from what it threw, from what cut it off. Nothing here
// writes; settle does.

import { classifyThrown } from '../policies/classify.ts';
import { decide } from '../policies/retry.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import type { FailureClass, UpstreamError } from '../words/failure.ts';
import { toEpochMs } from '../words/instant.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { answerKind, type DeadAnswer, type Outcome, type ParkAnswer, type RetryAnswer } from '../words/outcome.ts';
import type { Attempt } from './attempt.ts';
import type { Lane } from './lane.ts';

/** A result is an answer to keep beside the job, not a file store. */
const MAX_RESULT_CHARS = 1024 * 1024;

export interface Outcomes {
  fromReturned(attempt: Attempt, returned: unknown): Outcome | Promise<Outcome>;
  fromThrown(attempt: Attempt, thrown: unknown): Promise<Outcome>;
  /** For an attempt that was over before its handler. */
  fromEnd(attempt: Attempt): Outcome | Promise<Outcome>;
}

export function createOutcomes(lane: Lane, laneQueue: LaneQueue, clock: Clock, random: () => number): Outcomes {
  return { fromReturned, fromThrown, fromEnd };

  function fromEnd(attempt: Attempt): Outcome | Promise<Outcome> {
    if (attempt.ended === 'cancelled') return { kind: 'cancel' };
    if (attempt.ended === 'leaving') return { kind: 'return' };
    if (attempt.ended === 'lost') return { kind: 'lost', reason: 'its lock was lost; another pod may run it' };
    return fromFailure(attempt, 'timeout', new Error(`no end within ${lane.timeoutMs} ms`));
  }

  function fromReturned(attempt: Attempt, returned: unknown): Outcome | Promise<Outcome> {
    switch (answerKind(returned)) {
      case 'retry':
        return fromRetry(attempt, returned as RetryAnswer);
      case 'park':
        return fromPark(returned as ParkAnswer);
      case 'dead':
        return { kind: 'dead', class: 'fatal', error: new Error(String((returned as DeadAnswer).reason)) };
      default:
        return toDone(returned);
    }
  }

  async function fromRetry(attempt: Attempt, answer: RetryAnswer): Promise<Outcome> {
    const afterMs = answer.after === undefined ? undefined : toDurationMs(answer.after);
    if (answer.after !== undefined && afterMs === undefined)
      return wrongAnswer('retry({ after })', 'a duration', answer.after);
    const outcome = await fromFailure(
      attempt,
      'transient',
      new Error(answer.reason ?? 'the handler asked for a retry'),
    );
    return outcome.kind === 'retry' && afterMs !== undefined ? { ...outcome, afterMs } : outcome;
  }

  function fromPark(answer: ParkAnswer): Outcome {
    const untilAt = toEpochMs(answer.until);
    if (untilAt === undefined) return wrongAnswer('park({ until })', 'a Date, epoch ms or RFC 3339 text', answer.until);
    return {
      kind: 'park',
      gate: 'schedule',
      untilAt,
      reason: String(answer.reason ?? 'the handler parked it'),
      class: null,
    };
  }

  function wrongAnswer(what: string, expected: string, got: unknown): Outcome {
    return fatal(`${what}: expected ${expected}, got ${quote(got)}`);
  }

  function fromThrown(attempt: Attempt, thrown: unknown): Promise<Outcome> {
    return fromFailure(attempt, classifyThrown(thrown), toError(thrown));
  }

  async function fromFailure(attempt: Attempt, failure: FailureClass, error: Error): Promise<Outcome> {
    const waits = failure === 'rate-limit' || failure === 'quota';
    const parks = waits ? await countParks(attempt) : 0;
    const nowAt = clock.now();
    const askedAt = toEpochMs((error as Partial<UpstreamError>).retryAfterAt);
    const askedMs = askedAt === undefined ? null : askedAt - nowAt;
    const decision = decide(lane.retry, { class: failure, attempt: attempt.number, parks, askedMs, random: random() });
    if (decision.kind === 'retry') return { kind: 'retry', afterMs: decision.afterMs, class: failure, error };
    if (decision.kind === 'dead') return { kind: 'dead', class: decision.class, error };
    const untilAt = nowAt + decision.afterMs;
    return { kind: 'park', gate: 'limit', untilAt, reason: error.message, class: failure, parks: parks + 1 };
  }

  /** Read only when it matters: a job that meets no limit costs no command for it. */
  async function countParks(attempt: Attempt): Promise<number> {
    return Number((await laneQueue.redis.hget(laneQueue.jobKey(attempt.id), JOB_FIELDS.parks)) ?? 0);
  }

  /** A result that cannot be kept is found before the commit: running the job again would do its effect again. */
  function toDone(result: unknown): Outcome {
    if (result === undefined) return { kind: 'done', result };
    try {
      const json = JSON.stringify(result) ?? 'null';
      // What was read once reads the same again: a toJSON of the handler's may not, and BullMQ makes text of it once more.
      if (json.length <= MAX_RESULT_CHARS) return { kind: 'done', result: JSON.parse(json) };
      return fatal(`its result: expected at most ${MAX_RESULT_CHARS} characters of JSON, got ${json.length}`);
    } catch (thrown) {
      return fatal(`its result cannot be stored as JSON: ${toError(thrown).message}`);
    }
  }

  function fatal(reason: string): Outcome {
    return { kind: 'dead', class: 'fatal', error: new LanekeeperError('LK_INPUT', reason) };
  }
}
