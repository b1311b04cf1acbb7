// One attempt, aloud: admit -> handle -> settle.

import type { Logger } from 'pino';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { Outcome } from '../words/outcome.ts';
import type { Admit, Verdict } from './admission.ts';
import { Attempt, toJob } from './attempt.ts';
import { AttemptContext, type ContextParts } from './context.ts';
import { createDeadlines } from './deadlines.ts';
import type { AddFrom } from './hand-over.ts';
import type { Handler } from './handler.ts';
import { createOutcomes } from './outcomes.ts';
import { attemptOver } from './request.ts';
import type { Settle } from './settle.ts';
import type { Slots } from './slots.ts';
import type { RunJob } from './source.ts';
import type { Turn } from './turn.ts';

/**
 * Jobs that lost this many pods run alone. One loss is the pod's (a deploy, the OOM killer): the 200 jobs of a killed pod must
 * not queue up one by one. Two may be the job's own doing.
 */
const SUSPECT_STALLS = 2;

function isSuspect({ raw }: Attempt): boolean {
  return raw.stalledCounter >= SUSPECT_STALLS;
}

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
  addFrom: AddFrom;
  /** In a lane with `pods: 'one'`. */
  turn?: Turn | undefined;
  random?: () => number;
}

export function createRunner(options: RunnerOptions): RunJob {
  const {
    handler,
    laneQueue,
    slots,
    admit,
    settle,
    attempts,
    clock,
    events,
    log,
    addFrom,
    turn,
    random = Math.random,
  } = options;
  const { lane } = handler;
  const parts: ContextParts = { laneQueue, clock, events, log, addFrom };
  const deadlines = createDeadlines(lane.timeoutMs, clock);
  const { fromReturned, fromThrown, fromEnd } = createOutcomes(lane, laneQueue, clock, random);

  return async (raw, token, askedMonoAt, wantsNext, permit, hold) => {
    crashPoint('after-fetch');
    const attempt = new Attempt(lane, raw, token, askedMonoAt, clock, hold);
    hold?.onLost(() => attempt.end('lost', attemptOver(attempt, 'its pod was silent for too long')));
    attempt.turn = turn;
    if (permit) {
      attempt.permit = permit;
      permit.onLost(() => attempt.end('unpermitted', attemptOver(attempt, 'its permit ran out')));
    }
    attempts.add(attempt);
    try {
      const outcome = await (isSuspect(attempt) ? runAlone(attempt) : runToOutcome(attempt));
      crashPoint('after-handler');
      attempt.end('settled');
      return await settle(attempt, outcome, wantsNext);
    } finally {
      deadlines.forget(attempt);
      attempts.delete(attempt);
      attempt.own?.giveBack();
      hold?.forget();
    }
  };

  /** A pod-killer takes bystanders with it every time it is fetched beside them: they would share its count and its grave. */
  async function runAlone(attempt: Attempt): Promise<Outcome> {
    const quarantine = slots.quarantine();
    try {
      await Promise.race([quarantine.alone, new Promise<void>((resolve) => attempt.onCutOff(resolve))]);
      return await (attempt.ended ? fromEnd(attempt) : runToOutcome(attempt));
    } finally {
      quarantine.end();
    }
  }

  function runToOutcome(attempt: Attempt): Promise<Outcome> {
    events.emit('attempt.started', {
      lane: lane.name,
      job: attempt.id,
      attempt: attempt.number,
      start: attempt.start,
      agent: attempt.agent,
      // From the moment it could have run.
      waitedMs: Math.max(0, clock.now() - attempt.raw.timestamp - (attempt.raw.opts.delay ?? 0)),
    });
    deadlines.watch(attempt);
    return new Promise((resolve) => {
      let handled: Promise<void> | undefined;
      // What goes on after its attempt was cut off may still end or throw: nobody waits for it any more.
      attempt.onCutOff(() => resolve(attempt.ended === 'turned' ? handBack(attempt, handled) : fromEnd(attempt)));
      handled = admitAndHandle(attempt, resolve);
    });
  }

  /**
   * Another pod may run its lane, and has not the job, which is locked: back in line it runs there at once, and counts as no stall.
   * But not beside this handler: a handler that does not end before the lock does leaves it to that.
   */
  async function handBack(attempt: Attempt, handled: Promise<void> | undefined): Promise<Outcome> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<Outcome>((resolve) => {
      const reason = `${attempt.cause?.message}, and its handler did not end while its lock lasted`;
      timer = setTimeout(() => resolve({ kind: 'lost', reason }), Math.max(0, attempt.heldUntilMono - clock.mono()));
    });
    const ended = Promise.resolve(handled).then(() => fromEnd(attempt));
    return Promise.race([ended, tooLate]).finally(() => clearTimeout(timer));
  }

  /** One promise for it all: each more cost a no-op job 0.2 us and its garbage. */
  async function admitAndHandle(attempt: Attempt, resolve: (outcome: Outcome | Promise<Outcome>) => void) {
    let outcome: Outcome | Promise<Outcome>;
    try {
      const answer = admit(attempt);
      const verdict = answer instanceof Promise ? await answer : answer;
      // The pod may have been stopped for longer than the lock lives: then another has the job.
      if (!attempt.isLocked()) attempt.end(attempt.lapsed, attemptOver(attempt, 'its lock ran out'));
      if (attempt.ended) return;
      if (verdict.kind === 'admit' && attempt.hold) {
        const { agent } = attempt.hold;
        const waitedMs = await attempt.hold.opens();
        if (waitedMs === undefined)
          return attempt.end('outranked', attemptOver(attempt, 'a job that came later goes first'));
        events.emit('window.used', { lane: lane.name, agent, waitedMs });
      }
      if (attempt.ended) return;
      if (verdict.kind === 'admit') crashPoint('before-handler');
      outcome =
        verdict.kind === 'admit'
          ? fromReturned(
              attempt,
              await handler.run(toJob(attempt, verdict.payload), new AttemptContext(attempt, parts)),
            )
          : fromVerdict(attempt, verdict);
    } catch (thrown) {
      if (attempt.ended) return;
      outcome = fromThrown(attempt, thrown);
    }
    resolve(outcome);
  }

  function fromVerdict(attempt: Attempt, verdict: Exclude<Verdict, { kind: 'admit' }>): Outcome {
    const { kind, reason } = verdict;
    const gate = kind === 'park' ? verdict.gate : null;
    events.emit('admission.decided', { lane: lane.name, job: attempt.id, verdict: kind, gate, reason });
    return kind === 'park'
      ? { ...verdict, class: null }
      : { kind: 'dead', class: verdict.class, error: new LanekeeperError('LK_INPUT', reason) };
  }
}
