// One attempt, aloud: admit -> handle -> settle. Outcomes are values; this is the one place where something thrown, timed
// out or cut off becomes one.

import type { Logger } from 'pino';
import { classifyThrown } from '../policies/classify.ts';
import { decide } from '../policies/retry.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { FailureClass, UpstreamError } from '../words/failure.ts';
import { toEpochMs } from '../words/instant.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { answerKind, type DeadAnswer, type Outcome, type ParkAnswer, type RetryAnswer } from '../words/outcome.ts';
import type { Admit } from './admission.ts';
import { type Attempt, beginAttempt, type EndReason, toJob } from './attempt.ts';
import { createContext } from './context.ts';
import type { Handler } from './handler.ts';
import { attemptOver } from './request.ts';
import type { Settle } from './settle.ts';
import type { Slots } from './slots.ts';
import type { RunJob } from './source.ts';

/**
 * Jobs that lost this many pods run alone. One loss is the pod's (a deploy, the OOM killer): the 200 jobs of a killed pod must
 * not queue up one by one. Two may be the job's own doing.
 */
const SUSPECT_STALLS = 2;

function isSuspect({ raw }: Attempt): boolean {
  return raw.stalledCounter >= SUSPECT_STALLS;
}

/** A result is an answer to keep beside the job, not a file store. */
const MAX_RESULT_CHARS = 1024 * 1024;

export interface RunnerOptions {
  handler: Handler;
  laneQueue: LaneQueue;
  slots: Slots;
  admit: Admit;
  settle: Settle;
  /** The attempts that run in this pod now: their locks are renewed, and a leaving pod ends them. */
  attempts: Set<Attempt>;
  clock: Clock;
  events: EventHub;
  log: Logger;
  random?: () => number;
}

export function createRunner(options: RunnerOptions): RunJob {
  const { handler, laneQueue, slots, admit, settle, attempts, clock, events, log, random = Math.random } = options;
  const { lane } = handler;

  return async (raw, token, askedMonoAt, wantsNext) => {
    const attempt = beginAttempt(lane, raw, token, askedMonoAt, clock);
    attempts.add(attempt);
    try {
      const outcome = toStorable(await (isSuspect(attempt) ? runAlone(attempt) : runToOutcome(attempt)));
      attempt.end('settled');
      return await settle(attempt, outcome, wantsNext);
    } finally {
      attempts.delete(attempt);
    }
  };

  /** A pod-killer takes bystanders with it every time it is fetched beside them: they would share its count and its grave. */
  async function runAlone(attempt: Attempt): Promise<Outcome> {
    const quarantine = slots.quarantine();
    try {
      await Promise.race([quarantine.alone, attempt.whenEnded]);
      return await (attempt.ended ? fromEnd(attempt) : runToOutcome(attempt));
    } finally {
      quarantine.end();
    }
  }

  async function runToOutcome(attempt: Attempt): Promise<Outcome> {
    events.emit('attempt.started', {
      lane: lane.name,
      job: attempt.id,
      attempt: attempt.number,
      start: attempt.start,
      agent: attempt.agent,
      // From the moment it could have run.
      waitedMs: Math.max(0, clock.now() - attempt.raw.timestamp - (attempt.raw.opts.delay ?? 0)),
    });
    const timer = setTimeout(() => {
      attempt.end('timeout', new DOMException(`no end within ${lane.timeoutMs} ms`, 'TimeoutError'));
    }, lane.timeoutMs);
    const work = admitAndHandle(attempt);
    // What goes on after its attempt was cut off may still throw: nobody waits for it any more.
    work.catch(() => {});
    try {
      const outcome = await Promise.race([work, attempt.whenEnded]);
      if (attempt.ended || typeof outcome === 'string') return await fromEnd(attempt);
      return outcome;
    } catch (thrown) {
      return await (attempt.ended ? fromEnd(attempt) : fromThrown(attempt, thrown));
    } finally {
      clearTimeout(timer);
    }
  }

  async function admitAndHandle(attempt: Attempt): Promise<Outcome | EndReason> {
    const verdict = await admit(attempt);
    // The pod may have been stopped for longer than the lock lives: then another has the job.
    if (!attempt.isLocked()) attempt.end('lost', attemptOver(attempt, 'its lock ran out'));
    if (attempt.ended) return attempt.ended;
    if (verdict.kind === 'admit') {
      return fromReturned(
        attempt,
        await handler.run(toJob(attempt, verdict.payload), createContext(attempt, laneQueue, clock, log)),
      );
    }
    const { kind, reason } = verdict;
    const gate = kind === 'park' ? verdict.gate : null;
    events.emit('admission.decided', { lane: lane.name, job: attempt.id, verdict: kind, gate, reason });
    return kind === 'park'
      ? { ...verdict, class: null }
      : { kind: 'dead', class: verdict.class, error: new LanekeeperError('LK_INPUT', reason) };
  }

  function fromEnd(attempt: Attempt): Outcome | Promise<Outcome> {
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
        return { kind: 'done', result: returned };
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
    const error = new LanekeeperError('LK_INPUT', `${what}: expected ${expected}, got ${quote(got)}`);
    return { kind: 'dead', class: 'fatal', error };
  }

  function fromThrown(attempt: Attempt, thrown: unknown): Promise<Outcome> {
    return fromFailure(attempt, classifyThrown(thrown), toError(thrown));
  }

  async function fromFailure(attempt: Attempt, failure: FailureClass, error: Error): Promise<Outcome> {
    const waits = failure === 'rate-limit' || failure === 'quota';
    const parks = waits ? await countParks(attempt) : 0;
    const askedAt = toEpochMs((error as Partial<UpstreamError>).retryAfterAt);
    const askedMs = askedAt === undefined ? null : askedAt - clock.now();
    const decision = decide(lane.retry, { class: failure, attempt: attempt.number, parks, askedMs, random: random() });
    if (decision.kind === 'retry') return { kind: 'retry', afterMs: decision.afterMs, class: failure, error };
    if (decision.kind === 'dead') return { kind: 'dead', class: decision.class, error };
    const untilAt = clock.now() + decision.afterMs;
    return { kind: 'park', gate: 'limit', untilAt, reason: error.message, class: failure, parks: parks + 1 };
  }

  /** Read only when it matters: a job that meets no limit costs no command for it. */
  async function countParks(attempt: Attempt): Promise<number> {
    return Number((await laneQueue.redis.hget(laneQueue.jobKey(attempt.id), JOB_FIELDS.parks)) ?? 0);
  }

  /** A result that cannot be kept is found before the commit: running the job again would do its effect again. */
  function toStorable(outcome: Outcome): Outcome {
    if (outcome.kind !== 'done' || outcome.result === undefined) return outcome;
    try {
      const json = JSON.stringify(outcome.result) ?? 'null';
      const chars = json.length;
      // What was read once reads the same again: a toJSON of the handler's may not, and BullMQ makes text of it once more.
      if (chars <= MAX_RESULT_CHARS) return { kind: 'done', result: JSON.parse(json) };
      const error = new LanekeeperError(
        'LK_INPUT',
        `its result: expected at most ${MAX_RESULT_CHARS} characters of JSON, got ${chars}`,
      );
      return { kind: 'dead', class: 'fatal', error };
    } catch (thrown) {
      const error = new LanekeeperError('LK_INPUT', `its result cannot be stored as JSON: ${toError(thrown).message}`);
      return { kind: 'dead', class: 'fatal', error };
    }
  }
}
