// The agent that one attempt acts as: claimed before the job was fetched, given back by the move that settles it. It waits here, in
// the pod, for the last milliseconds until the window opens, and knows until when it may still send.

import { setTimeout as sleep } from 'node:timers/promises';
import type { IQueueBackend } from 'bullmq';
import { type ActTerms, chargeFor } from '../policies/charge.ts';
import type { Claim, Release, Standing } from '../store/calendar/calendar.ts';
import { type FetchedJob, type LaneQueue, returnJob } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import type { Outcome } from '../words/outcome.ts';

/** A timer is late by up to a millisecond; the rest is waited for by asking the loop again and again. 1.1 ms was the best of those tried. */
const SPIN_MS = 1.1;

/** So long before its window opens a job may still be passed by one that came after its claim. The answer comes within 0.6 ms mostly. */
const MARK_MS = 3;

/** A handler that asks for no request within it after the opening may be at work for long before it sends anything. */
const UNSENT_MS = 20;

/** The desk that claimed it (path/agent-desk). */
export interface AgentHome {
  readonly clock: Clock;
  /** By the monotonic clock: until then a first request may go out, and a further one. */
  readonly mayBeginUntilMono: number;
  readonly mayGoOnUntilMono: number;
  /** As Redis's clock said it then, or a little later. */
  toRedis(mono: number): number | undefined;
  /** When Redis's clock says it, or a little later. */
  toMono(redisAt: number): number;
  keep(hold: AgentHold, lose: () => void): void;
  forget(hold: AgentHold): void;
  lookSoon(): void;
  sent(hold: AgentHold, yields: boolean): Promise<Standing>;
  unsent(hold: AgentHold): Promise<void>;
  release<T>(
    hold: AgentHold,
    laneQueue: LaneQueue,
    job: string,
    release: Release,
    move: (backend: IQueueBackend) => Promise<T>,
  ): Promise<T>;
}

/** What it must know of its attempt. */
export interface Acting {
  readonly id: string;
  readonly lane: { readonly name: string; readonly agent: ActTerms | undefined };
  /** A step of it stands in its job. */
  readonly hasKept: boolean;
}

export class AgentHold {
  readonly agent: string;
  readonly token: number;
  readonly #desk: AgentHome;
  readonly #opensAt: number;
  readonly #startsAt: number;
  /** Its job stood in line. */
  readonly #linedMono: number;
  #wasSent = false;
  /** Redis knows that something was sent: others leave its job alone for longer. */
  #isMarked = false;
  #marking: Promise<Standing> | undefined;
  #unsent: NodeJS.Timeout | undefined;
  #open = 0;
  #answeredMono: number | undefined;
  #asked: { untilAt: number; reason: string } | undefined;

  /** `claimedAt`: by Redis's clock. */
  constructor(desk: AgentHome, { agent, token, opensInMs, startsInMs, waitedMs }: Claim, claimedAt: number) {
    this.#desk = desk;
    this.agent = agent;
    this.token = token;
    this.#opensAt = claimedAt + opensInMs;
    this.#startsAt = claimedAt + startsInMs;
    this.#linedMono = desk.clock.mono() - waitedMs;
  }

  /** By the monotonic clock: from then on others may have the agent. */
  get untilMono(): number {
    return this.#isMarked ? this.#desk.mayGoOnUntilMono : this.#desk.mayBeginUntilMono;
  }

  get wasSent(): boolean {
    return this.#wasSent;
  }

  /** Calls back when others may have the agent. */
  onLost(then: () => void): void {
    this.#desk.keep(this, then);
  }

  /** Settled or not, this pod does nothing more with it: what it did not give back is taken from it. */
  forget(): void {
    clearTimeout(this.#unsent);
    this.#desk.forget(this);
  }

  /**
   * Never early, whatever this machine's clock says: Redis's decides (path/redis-clock). Answers for how long the window stood open,
   * in ms, while there was a job for it; undefined when another job is to have it. What must be known before the first request is
   * asked for meanwhile; a handler that is in no hurry to send one takes that back.
   */
  async opens(): Promise<number | undefined> {
    const { clock } = this.#desk;
    const startMono = () => this.#desk.toMono(this.#startsAt);
    const untilMarkMs = startMono() - clock.mono() - MARK_MS;
    if (untilMarkMs > 0) await sleep(untilMarkMs);
    // A failure concerns whoever needs it to send.
    const marked = this.#mark(untilMarkMs > 0).catch(() => undefined);
    const waitMs = startMono() - clock.mono() - SPIN_MS;
    if (waitMs > 0) await sleep(waitMs);
    // Asked again and again: Redis's last answer says best what time it is there.
    while (clock.mono() < startMono()) await new Promise((resolve) => setImmediate(resolve));
    const openMs = clock.mono() - Math.max(this.#desk.toMono(this.#opensAt), this.#linedMono);
    if ((await marked) === 'outranked') return undefined;
    this.#unsent = setTimeout(() => this.#unmark(), UNSENT_MS);
    return openMs;
  }

  /**
   * Before the first request: Redis knows that something may go out, and has said that the agent is still ours. So of a pod that died
   * it is known what surely was not sent.
   */
  async mayAct(): Promise<void> {
    clearTimeout(this.#unsent);
    await this.#mark(false);
  }

  #mark(yields: boolean): Promise<Standing> {
    if (this.#marking) return this.#marking;
    const marking = this.#desk.sent(this, yields).then(
      (standing) => {
        if (this.#marking === marking) this.#isMarked = standing === 'ours';
        return standing;
      },
      (error) => {
        if (this.#marking === marking) this.#marking = undefined; // the next request asks again
        throw error;
      },
    );
    this.#marking = marking;
    return marking;
  }

  /** Nothing went out, and Redis is told before anything does. */
  #unmark(): void {
    this.#marking = undefined;
    this.#isMarked = false;
    void this.#desk.unsent(this);
  }

  /** A request is about to be written. */
  sending(): void {
    this.#open++;
    this.#wasSent = true;
  }

  /** Its answer has ended, or it came to nothing. */
  ended(): void {
    this.#open--;
    this.#answeredMono = this.#desk.clock.mono();
  }

  /** The handler says that its agent may not act before. */
  cooldown(untilAt: number, reason: string): void {
    this.#asked = { untilAt, reason };
  }

  /** Back into line, as if neither had been claimed. */
  async handBack(laneQueue: LaneQueue, job: FetchedJob, token: string): Promise<void> {
    const nothing = {
      costMs: null,
      agoMs: 0,
      answeredAt: null,
      untilMs: null,
      source: 'policy',
      reason: '',
      ok: null,
      binds: false,
    } as const;
    const release: Release = { agent: this.agent, token: this.token, ...nothing };
    await this.#desk.release(this, laneQueue, job.id, release, (backend) =>
      returnJob({ ...laneQueue, backend }, job, token),
    );
  }

  /** Settles its job by `move` and gives the agent back, as one. */
  async release<T>(
    laneQueue: LaneQueue,
    attempt: Acting,
    outcome: Outcome,
    move: (backend: IQueueBackend) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#desk;
    const { agent: terms } = attempt.lane;
    if (!terms) throw new TypeError(`lane ${attempt.lane.name} has no agents`);
    const charge = chargeFor(terms, outcome, this.#wasSent);
    const nowAt = clock.now();
    const untilAt = Math.max(charge.untilAt ?? 0, this.#asked?.untilAt ?? 0);
    const isAsked = this.#asked !== undefined && untilAt === this.#asked.untilAt;
    // What is still open ends with its attempt: the upstream sees that no later than this is written.
    const lastMono = this.#open > 0 ? undefined : this.#answeredMono;
    const release: Release = {
      agent: this.agent,
      token: this.token,
      costMs: charge.costMs,
      agoMs: lastMono === undefined ? 0 : clock.mono() - lastMono,
      answeredAt: lastMono === undefined ? null : (this.#desk.toRedis(lastMono) ?? null),
      untilMs: untilAt > nowAt ? untilAt - nowAt : null,
      source: isAsked ? 'policy' : charge.source,
      reason: (isAsked ? (this.#asked?.reason ?? '') : charge.reason).slice(0, 500),
      ok: charge.ok,
      binds: this.#wasSent || attempt.hasKept,
    };
    const reply = await this.#desk.release(this, laneQueue, attempt.id, release, move);
    if (outcome.kind !== 'done' && outcome.kind !== 'dead') this.#desk.lookSoon();
    return reply;
  }
}
