// What an attempt came to, as an outcome: from what the handler returned, from what it threw, from what cut it off. Nothing here
// writes; settle does.

import { classifyThrown, isBan } from '../policies/classify.ts';
import { decide } from '../policies/retry.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import type { FailureClass, UpstreamError } from '../words/failure.ts';
import { toEpochMs } from '../words/instant.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { answerKind, type DeadAnswer, type Outcome, type ParkAnswer, type RetryAnswer } from '../words/outcome.ts';
import type { Attempt, EndReason } from './attempt.ts';
import type { Lane } from './lane.ts';

/** A result is an answer to keep beside the job, not a file store. */
const MAX_RESULT_CHARS = 1024 * 1024;

const MAX_REASON_CHARS = 8_192;

/** A park for an instant that has passed uses no attempt: run at once, it would go round for ever and heat a core. */
const MIN_PARK_MS = 1_000;

/** What became of the job is nobody's doing: back to its place in the line. */
const WHY_BACK: Partial<Record<EndReason, string>> = {
  leaving: 'its pod is leaving',
  turned: 'another pod runs its lane now',
  unpermitted: 'its permit ran out',
  outranked: 'a job that came later goes first',
};

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
    const why = attempt.ended && WHY_BACK[attempt.ended];
    if (why) return { kind: 'return', why };
    if (attempt.ended === 'lost') return { kind: 'lost', reason: 'its lock was lost; another pod may run it' };
    if (attempt.ended === 'fenced')
      return { kind: 'lost', reason: attempt.cause?.message ?? 'its owner was displaced' };
    return fromFailure(attempt, 'timeout', new Error(attempt.cause?.message ?? `no end within ${lane.timeoutMs} ms`));
  }

  function fromReturned(attempt: Attempt, returned: unknown): Outcome | Promise<Outcome> {
    switch (answerKind(returned)) {
      case 'retry':
        return fromRetry(attempt, returned as RetryAnswer);
      case 'park':
        return fromPark(returned as ParkAnswer);
      case 'dead':
        return { kind: 'dead', class: 'fatal', error: new Error(toReason((returned as DeadAnswer).reason)) };
      default:
        return toDone(returned);
    }
  }

  function fromRetry(attempt: Attempt, { after, reason }: RetryAnswer): Outcome | Promise<Outcome> {
    const afterMs = after === undefined ? undefined : toDurationMs(after);
    if (after !== undefined && afterMs === undefined) return wrongAnswer('retry({ after })', 'a duration', after);
    return retryAfter(attempt, new Error(toReason(reason ?? 'the handler asked for a retry')), afterMs);
  }

  async function retryAfter(attempt: Attempt, error: Error, afterMs: number | undefined): Promise<Outcome> {
    const outcome = await fromFailure(attempt, 'transient', error);
    return outcome.kind === 'retry' && afterMs !== undefined ? { ...outcome, afterMs } : outcome;
  }

  function fromPark(answer: ParkAnswer): Outcome {
    const untilAt = toEpochMs(answer.until);
    if (untilAt === undefined) return wrongAnswer('park({ until })', 'a Date, epoch ms or RFC 3339 text', answer.until);
    return {
      kind: 'park',
      gate: 'schedule',
      untilAt: Math.max(untilAt, clock.now() + MIN_PARK_MS),
      reason: toReason(answer.reason ?? 'the handler parked it'),
      class: null,
    };
  }

  function wrongAnswer(what: string, expected: string, got: unknown): Outcome {
    return fatal(`${what}: expected ${expected}, got ${quote(got)}`);
  }

  function fromThrown(attempt: Attempt, thrown: unknown): Promise<Outcome> {
    const { error, askedAt } = readThrown(thrown);
    const outcome = fromFailure(attempt, classifyThrown(thrown), error, askedAt);
    return isBan(peek(toError(thrown), 'body')) ? outcome.then(asBan) : outcome;
  }

  function asBan(outcome: Outcome): Outcome {
    return outcome.kind === 'park' ? { ...outcome, isBan: true } : outcome;
  }

  async function fromFailure(
    attempt: Attempt,
    failure: FailureClass,
    error: Error,
    askedAt?: number,
  ): Promise<Outcome> {
    const waits = failure === 'rate-limit' || failure === 'quota';
    const parks = waits ? await countParks(attempt) : 0;
    const nowAt = clock.now();
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

/**
 * What was thrown, read once and kept as plain data: a getter that throws the second time, in the middle of a settle, would leave
 * its job without an end.
 */
function readThrown(thrown: unknown, isCause = false): { error: Error; askedAt: number | undefined } {
  const given = toError(thrown);
  const error = new Error(toReason(peek(given, 'message') ?? 'an Error that throws when it is looked at'));
  const stack = peek(given, 'stack');
  error.name = toReason(peek(given, 'name') ?? 'Error');
  error.stack = typeof stack === 'string' ? stack.slice(0, MAX_REASON_CHARS) : error.message;
  const cause = peek(given, 'cause');
  // One level is shown; a circle of causes has no last.
  if (!isCause && toError(cause) === cause) error.cause = readThrown(cause, true).error;
  return { error, askedAt: toEpochMs(peek(given, 'retryAfterAt')) };
}

function peek(error: Error, field: 'name' | 'stack' | 'message' | 'cause' | 'retryAfterAt' | 'body'): unknown {
  try {
    return (error as Partial<UpstreamError>)[field];
  } catch {
    return undefined;
  }
}

/** A reason is kept with the job, its event and the journal. */
function toReason(reason: unknown): string {
  return typeof reason === 'string' ? reason.slice(0, MAX_REASON_CHARS) : quote(reason);
}
