// The end of an attempt, as one move of BullMQ's: the commit. Its script checks the job's lock, so of two pods that ran one
// job only the holder settles. Where there is room, the same round trip fetches the next job. What follows it (events,
// journal) may be lost with the pod; what is true stands in the queue.

import type { KeepJobs, MinimalJob } from 'bullmq';
import { type Fetched, isNotOurs, type LaneQueue, returnJob, toFetched } from '../store/lane-queue.ts';
import { parkDisplaced } from '../store/ownership/aside.ts';
import { parkingBackend } from '../store/parking.ts';
import { takingOut } from '../store/taking-out.ts';
import type { Clock } from '../words/clock.ts';
import { crashPoint } from '../words/crash-point.ts';
import { toError } from '../words/errors.ts';
import type { EventHub, Events } from '../words/events.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import type { Outcome } from '../words/outcome.ts';
import type { Attempt } from './attempt.ts';
import { groupAddress } from './group.ts';
import type { Lane, Retention } from './lane.ts';
import { createRefusals } from './refusals.ts';
import { appendStack } from './stack.ts';

export type Settle = (attempt: Attempt, outcome: Outcome, wantsNext: () => boolean) => Promise<Fetched | undefined>;

export interface SettleOptions {
  pod: string;
  lane: Lane;
  laneQueue: LaneQueue;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

export function createSettle({ pod, lane, laneQueue, keys, clock, events }: SettleOptions): Settle {
  const owned = { laneQueue, keys, lease: keys.owner(groupAddress(lane)) };
  // Dead letters leave by the retention alone, which counts and tells them: trimmed here they would vanish without a word.
  const keep = { done: createTrimmer(lane.done, clock), dead: () => KEEP_ALL };
  const refusals = createRefusals();

  return async (attempt, wanted, wantsNext) => {
    let outcome = wanted;
    const ref = { lane: attempt.lane.name, job: attempt.id, attempt: attempt.number };
    if (outcome.kind === 'lost') {
      events.emit(attempt.ended === 'fenced' ? 'attempt.fenced' : 'attempt.lost', { ...ref, reason: outcome.reason });
      return undefined;
    }
    attempt.isSettling = true;
    for (let isRefused = false; ; ) {
      if (isRefused && !attempt.isLocked()) {
        events.emit('attempt.lost', { ...ref, reason: 'Redis refused to settle it until its lock ran out' });
        return undefined;
      }
      if (!refusals.mayAsk()) {
        isRefused = true;
        await refusals.again();
        continue;
      }
      try {
        crashPoint(outcome.kind === 'dead' ? 'before-bury' : 'before-settle');
        const { hold } = attempt;
        const settling = outcome;
        if (outcome.kind === 'park' && outcome.untilAt === null) {
          crashPoint('before-park');
          const what = await parkDisplaced(owned, attempt.id, attempt.token);
          crashPoint('after-park');
          if (what === 'lost') return await refused(attempt, outcome);
          announce(attempt, what === 'back' ? BACK : outcome, clock, events);
          return undefined;
        }
        const fetched = hold
          ? await hold.release(laneQueue, attempt, outcome, (backend) =>
              move({ laneQueue: { ...laneQueue, backend }, attempt, outcome: settling, pod, clock, keep }, false),
            )
          : await move({ laneQueue, attempt, outcome, pod, clock, keep }, wantsNext());
        crashPoint(outcome.kind === 'dead' ? 'after-bury' : 'after-settle');
        refusals.answered();
        announce(attempt, outcome, clock, events);
        if (outcome.kind === 'done') attempt.afterDone?.();
        return fetched;
      } catch (error) {
        if (isNotOurs(error)) {
          refusals.answered();
          return await refused(attempt, outcome);
        }
        if (isOurFault(error)) {
          outcome = {
            kind: 'dead',
            class: 'fatal',
            error: new Error(`its outcome (${outcome.kind}) cannot be written: ${toError(error).message}`),
          };
          continue;
        }
        events.emit('redis.failing', { what: `settle in ${ref.lane}`, reason: toError(error).message });
        refusals.refused();
        isRefused = true;
        await refusals.again();
      }
    }
  };

  /** Another pod has its job; or another took its lane, and whose it was waits for that lane. */
  async function refused({ id, number }: Attempt, { kind }: Outcome): Promise<undefined> {
    const ref = { lane: lane.name, job: id, attempt: number };
    events.emit('settle.refused', { ...ref, outcome: kind });
    if (lane.ownership !== 'exclusive') return;
    const gate = await laneQueue.redis.hget(laneQueue.jobKey(id), JOB_FIELDS.gate).catch(() => null);
    if (gate === 'owner') events.emit('attempt.fenced', { ...ref, reason: `what it came to (${kind}) was refused` });
  }
}

const BACK: Outcome & { kind: 'return' } = { kind: 'return', why: 'its owner holds the lane again' };

/** Not Redis's no, nor its silence: what was to be written cannot be. Asked again, it could not either. */
function isOurFault(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
}

interface Move {
  laneQueue: LaneQueue;
  attempt: Attempt;
  outcome: Exclude<Outcome, { kind: 'lost' }>;
  pod: string;
  clock: Clock;
  keep: { done: () => KeepJobs; dead: () => KeepJobs };
}

async function move(
  { laneQueue, attempt, outcome, pod, clock, keep }: Move,
  fetchNext: boolean,
): Promise<Fetched | undefined> {
  const { backend } = laneQueue;
  const { id, token, lane, raw } = attempt;
  // The lane's policy wins over the job's options; BullMQ reads no more of a job than these two.
  raw.opts.attempts = lane.retry.attempts;
  const job = raw as unknown as MinimalJob;
  const nowAt = clock.now();
  const next = (reply: unknown) => (fetchNext ? toFetched(reply) : undefined);

  switch (outcome.kind) {
    case 'done': {
      const { result } = await backend.moveToCompleted(job, outcome.result, keep.done(), token, fetchNext);
      return next(result);
    }
    case 'dead': {
      const fields = failureFields(attempt, outcome, pod, nowAt);
      const { result } = await backend.moveToFailed(job, fields.failedReason, keep.dead(), token, fetchNext, fields);
      return next(result);
    }
    case 'retry': {
      const fieldsToUpdate = {
        ...failureFields(attempt, outcome, pod, nowAt),
        ...waitingFields(
          '',
          nowAt + outcome.afterMs,
          `attempt ${attempt.number} of ${lane.retry.attempts} failed: ${outcome.class}: ${outcome.error.message}`,
          nowAt,
        ),
      };
      return next(await backend.moveToDelayed(id, nowAt, outcome.afterMs, token, { fieldsToUpdate, fetchNext }));
    }
    case 'park': {
      const untilAt = outcome.untilAt ?? nowAt;
      const fieldsToUpdate = {
        ...waitingFields(outcome.gate, untilAt, outcome.reason, nowAt),
        ...(outcome.parks === undefined ? {} : { [JOB_FIELDS.parks]: outcome.parks }),
      };
      const delayMs = Math.max(0, untilAt - nowAt);
      const parking = parkingBackend(laneQueue, outcome.gate);
      return next(
        await parking.moveToDelayed(id, nowAt, delayMs, token, { skipAttempt: true, fieldsToUpdate, fetchNext }),
      );
    }
    case 'cancel': {
      // Under its lock and removed in the same script: nobody else can have it meanwhile, and nothing of it is left.
      let reply: unknown;
      await takingOut(laneQueue, id, async () => {
        reply = (await backend.moveToCompleted(job, null, { count: 0 }, token, fetchNext)).result;
        return true;
      });
      return next(reply);
    }
    case 'return': {
      await returnJob(laneQueue, raw, token);
      return undefined;
    }
  }
}

function failureFields(
  attempt: Attempt,
  { class: ofClass, error }: Extract<Outcome, { kind: 'retry' | 'dead' }>,
  pod: string,
  at: number,
) {
  const facts = {
    class: ofClass,
    attempt: attempt.number,
    attempts: attempt.lane.retry.attempts,
    pod,
    agent: attempt.agent,
    at,
  };
  return { failedReason: error.message, stacktrace: appendStack(attempt.raw.stacktrace, facts, error) };
}

function waitingFields(gate: string, untilAt: number, reason: string, sinceAt: number) {
  return {
    [JOB_FIELDS.gate]: gate,
    [JOB_FIELDS.until]: untilAt,
    [JOB_FIELDS.reason]: reason.slice(0, 500),
    [JOB_FIELDS.since]: sinceAt,
  };
}

/**
 * Trimming the done jobs costs Redis a tenth of a settle. A busy lane trims with one settle in 32, a quiet one with each, so at most
 * 31 jobs stand too long; a lane that keeps few trims always.
 */
const TRIM_EVERY = 32;
const TRIM_AFTER_MS = 1_000;
const KEEP_ALL: KeepJobs = { count: -1 };

function createTrimmer({ keepMs, max }: Retention, clock: Clock): () => KeepJobs {
  const trim: KeepJobs = { age: Math.ceil(keepMs / 1_000), count: max };
  let untrimmed = 0;
  let trimmedAt = Number.NEGATIVE_INFINITY;
  return () => {
    const isDue = ++untrimmed >= TRIM_EVERY || clock.mono() - trimmedAt >= TRIM_AFTER_MS;
    if (!isDue && max > 1_000) return KEEP_ALL;
    untrimmed = 0;
    trimmedAt = clock.mono();
    return trim;
  };
}

function announce(attempt: Attempt, outcome: Exclude<Outcome, { kind: 'lost' }>, clock: Clock, events: EventHub): void {
  const { lane, id: job, number, agent } = attempt;
  if (outcome.kind === 'return') {
    events.emit('attempt.returned', {
      lane: lane.name,
      job,
      attempt: number,
      reason: outcome.why,
    });
    return;
  }
  if (outcome.kind === 'cancel') {
    const { who, reason = null } = attempt.cancelledBy ?? {};
    events.emit('job.cancelled', { lane: lane.name, job, reason, before: 'active', after: 'gone', who });
    return;
  }
  const durationMs = Math.round((clock.mono() - attempt.startedMonoAt) * 10) / 10;
  const end: Events['attempt.finished'] = { lane: lane.name, job, attempt: number, outcome: outcome.kind, durationMs };
  if (agent !== null) end.agent = agent;
  if (outcome.kind === 'retry' || outcome.kind === 'dead') {
    end.class = outcome.class;
    end.reason = outcome.error.message;
  }
  if (outcome.kind === 'retry') end.untilAt = clock.now() + outcome.afterMs;
  if (outcome.kind === 'park') {
    if (outcome.class !== null) end.class = outcome.class;
    end.gate = outcome.gate;
    end.reason = outcome.reason;
    if (outcome.untilAt !== null) end.untilAt = outcome.untilAt;
  }
  events.emit('attempt.finished', end);
}
