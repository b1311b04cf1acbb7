// One run of a handler: its facts, its end. An attempt is over when it is settled, timed out, lost its lock or its pod
// leaves; from then on its context refuses to send. The lock's deadline is kept on the monotonic clock, counted from before
// the lock was asked for, so that a pod that slept through it knows before it asks anybody.

import type { FetchedJob } from '../store/lane-queue.ts';
import { LOCK_MS } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import type { Owner } from '../words/owner.ts';
import type { AgentHold } from './agent-hold.ts';
import { openEnvelope } from './envelope.ts';
import type { Job } from './handler.ts';
import type { Lane } from './lane.ts';
import type { Permit } from './permit.ts';
import type { Turn } from './turn.ts';

/** Between "our clock says the lock is over" and "Redis gives the job to another": room for clocks that tick unevenly. */
const LOCK_MARGIN_MS = 1_000;

/**
 * `fenced`: another took its lane, and its owner was displaced. `turned`: its pod is not the one of its lane any more. `outranked`: a
 * job that came later is to have its window.
 */
export type EndReason =
  | 'settled'
  | 'timeout'
  | 'lost'
  | 'fenced'
  | 'turned'
  | 'leaving'
  | 'cancelled'
  | 'unpermitted'
  | 'outranked';

/** A class, because a busy lane makes 20,000 a second: as an object of closures each cost 2 us more. */
export class Attempt {
  readonly lane: Lane;
  readonly raw: FetchedJob;
  readonly token: string;
  readonly id: string;
  /** 1 for the first; waiting does not raise it. */
  readonly number: number;
  /** How often the job was started, whatever came of it. Never falls: the fence of an open lane. */
  readonly start: number;
  readonly agent: string | null;
  readonly key: string | null;
  /** As sent; the schema has not seen it yet. */
  readonly input: unknown;
  /** What is wrong with the stored data itself. */
  readonly malformed: string | undefined;
  readonly startedMonoAt: number;
  /** Who ended it by order, and why; settle needs it. */
  cancelledBy: { who: string; reason: string | null } | undefined = undefined;
  /** Cuts the requests that are still open, however it ends. */
  cutRequests: ((why: Error | undefined) => void) | undefined = undefined;
  /** What to say with its timeout, of what its requests waited for. */
  sayLate: (() => string) | undefined = undefined;
  /** True from the moment its settle is sent: a renewal that fails then means nothing. */
  isSettling = false;
  /** The last instant (monotonic) at which its lock is surely ours. */
  lockedUntilMono: number;
  /** What it may ask of its upstream, when that has limits. */
  permit: Permit | undefined = undefined;
  /** What it holds of the limits that its job decides: tokens, and those of its agent. */
  own: { spent(total: number): void; giveBack(): void } | undefined = undefined;
  /** Tokens its handler said it used. */
  spent: number | undefined = undefined;
  /** The agent it acts as, in a lane that has agents. */
  readonly hold: AgentHold | undefined;
  /** In a lane with `pods: 'one'`: until when this pod is the one. */
  turn: Turn | undefined = undefined;
  /** A step of it stands in its job. */
  hasKept = false;
  /** Who fed it, in an exclusive lane. */
  fedBy: Owner | undefined = undefined;
  /** Of its lane when it was admitted, where one owner or one pod has that; otherwise each job has its own. */
  laneFence: { token: string; scope: string } | undefined = undefined;
  /** Called when its job is done and settled. */
  afterDone: (() => void) | undefined = undefined;
  readonly #clock: Clock;
  #ended: EndReason | undefined = undefined;
  #cause: Error | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #cutOff: (() => void) | undefined = undefined;

  constructor(
    lane: Lane,
    raw: FetchedJob,
    token: string,
    askedMonoAt: number,
    clock: Clock,
    hold: AgentHold | undefined = undefined,
  ) {
    const { payload, agent, key, malformed } = openEnvelope(raw.data);
    this.lane = lane;
    this.raw = raw;
    this.token = token;
    this.id = raw.id;
    this.number = raw.attemptsMade + 1;
    this.start = raw.attemptsStarted;
    this.agent = hold?.agent ?? agent;
    this.hold = hold;
    this.key = key;
    this.input = payload;
    this.malformed = malformed;
    this.startedMonoAt = clock.mono();
    this.lockedUntilMono = lockDeadline(askedMonoAt);
    this.#clock = clock;
  }

  /** What it shows to a resource that refuses lower ones of one scope. */
  get fence(): { token: string; scope: string } {
    return this.laneFence ?? { token: String(this.start), scope: this.id };
  }

  /** Why it is over; undefined while it runs. */
  get ended(): EndReason | undefined {
    return this.#ended;
  }

  /** What it was ended with. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** Made on first use: it costs 2 us, and a lane that runs 20,000 jobs a second mostly waits for nothing. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#ended && this.#ended !== 'settled') this.#controller.abort(this.#cause);
    }
    return this.#controller.signal;
  }

  /** The last instant (monotonic) at which it may send: its lock is surely ours, and its agent, and the lane where one pod runs it. */
  get safeUntilMono(): number {
    return this.turn ? Math.min(this.heldUntilMono, this.turn.untilMono) : this.heldUntilMono;
  }

  /** The last instant (monotonic) at which its job, and its agent, are surely its pod's. */
  get heldUntilMono(): number {
    return this.hold ? Math.min(this.lockedUntilMono, this.hold.untilMono) : this.lockedUntilMono;
  }

  isLocked(): boolean {
    return this.#clock.mono() < this.safeUntilMono;
  }

  /** What it ends with when it is not locked any more: as long as its job is still its pod's, that can be handed back. */
  get lapsed(): 'turned' | 'lost' {
    return this.turn && this.#clock.mono() < this.heldUntilMono ? 'turned' : 'lost';
  }

  end(reason: EndReason, error?: Error): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#cause = error;
    // Only a cut-off handler is told; aborting after a normal end would reject requests nobody waits for.
    if (reason !== 'settled') this.#controller?.abort(error);
    this.cutRequests?.(error);
    if (reason !== 'settled') this.#cutOff?.();
  }

  /** Calls back when it is cut off; the last one asked is called. */
  onCutOff(then: () => void): void {
    this.#cutOff = then;
  }
}

export function lockDeadline(askedMonoAt: number): number {
  return askedMonoAt + LOCK_MS - LOCK_MARGIN_MS;
}

export function toJob(attempt: Attempt, payload: unknown): Job {
  return Object.freeze({
    id: attempt.id,
    lane: attempt.lane.name,
    payload,
    agent: attempt.agent,
    attempt: attempt.number,
    key: attempt.key,
    enqueuedAt: attempt.raw.timestamp,
  });
}
