// One upstream's agents, in this pod. It wakes the lanes when a window is about to open, tells Redis that the pod lives, five times a
// second while it holds something and else in turn with the other pods, and knows until when the pod may act on what it claimed:
// after a stop it knows before it asks anybody.

import type { IQueueBackend } from 'bullmq';
import {
  AHEAD_MS,
  BEAT_MS,
  type Calendar,
  type Claimed,
  DEAD_MS,
  type Holding,
  QUIET_MS,
  type Release,
  SILENT_MS,
  type Standing,
} from '../store/calendar/calendar.ts';
import type { Fetched, LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { AgentHold, type AgentHome } from './agent-hold.ts';
import { RedisClock } from './redis-clock.ts';

/** A window is claimed so long before it opens, and its job fetched meanwhile. With 6 more are late, with 10 a top job waits for more. */
const LEAD_MS = 8;
/** A timer fires up to a millisecond early: who asks then must not be told that it is too soon, for nobody would ask again. */
const EARLY_MS = 2;
/** Two agents start so far from each other, where there are few (claim.lua): one pod needs a millisecond for each. */
const APART_MS = 3;
/** Between "our clock says we have lost it" and "another may have it": room for clocks that tick unevenly, and for the way to Redis. */
const MARGIN_MS = 100;
/** Another lane's job goes first, and its lane was called: it has so long to take it. */
const YIELD_MS = 5;
/** Remembered, to tell it after a loss: acts of the last day, of so many agents. */
const MAX_REMEMBERED = 10_000;

export interface AgentDeskOptions {
  upstream: string;
  agents: readonly string[];
  calendar: Calendar;
  clock: Clock;
  events: EventHub;
}

export interface DeskedLane {
  name: string;
  cooldownMs: number;
}

/** A lane as its source sees it. */
export interface AgentLane {
  /** Called when it is worth asking. */
  onWake(then: () => void): void;
  /** A job with the agent it acts as, or nothing to do now. */
  fetch(laneQueue: LaneQueue, token: string): Promise<FetchedAct | undefined>;
}

export interface FetchedAct extends Fetched {
  hold: AgentHold;
  /** Another may be had at once. */
  hasMore: boolean;
}

export class AgentDesk implements AgentHome {
  readonly clock: Clock;
  readonly #options: AgentDeskOptions;
  readonly #lanes = new Map<string, { cooldownMs: number; wake: () => void; yieldedMono: number }>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #holds = new Map<number, { hold: AgentHold; lane: string; job: string; lose: () => void }>();
  /** By the monotonic clock: until when an agent this pod released may not act. */
  readonly #opens = new Map<string, number>();
  readonly #redisClock = new RedisClock();
  #beat: NodeJS.Timeout | undefined;
  /** When it beats again if it holds nothing. */
  #turnMono = Number.NEGATIVE_INFINITY;
  /** It was asked for last so that Redis heard of this pod: by a beat, or by a claim. */
  #freshMono = Number.NEGATIVE_INFINITY;
  #isRegistered = false;
  #wasRegistered = false;
  #beating: Promise<void> | undefined;
  #isFailing = false;
  #isStopped = false;

  constructor(options: AgentDeskOptions) {
    this.#options = options;
    this.clock = options.clock;
  }

  get mayBeginUntilMono(): number {
    return this.#freshMono + DEAD_MS - MARGIN_MS;
  }

  get mayGoOnUntilMono(): number {
    return this.#freshMono + SILENT_MS - MARGIN_MS;
  }

  lane({ name, cooldownMs }: DeskedLane): AgentLane {
    const lane = { cooldownMs, wake: () => {}, yieldedMono: Number.NEGATIVE_INFINITY };
    this.#lanes.set(name, lane);
    return {
      onWake: (then) => {
        lane.wake = then;
      },
      fetch: (laneQueue, token) => this.#fetch(lane, laneQueue, token),
    };
  }

  start(): void {
    this.#keepBeating();
  }

  #keepBeating(): void {
    clearTimeout(this.#beat);
    if (this.#isStopped) return;
    // Also while Redis does not answer: what is lost is dropped all the same.
    this.#beat = setTimeout(() => this.#keepBeating(), BEAT_MS);
    this.#dropLost();
    void this.once();
  }

  /** Redis has heard of this pod since then. */
  #isAliveSince(askedMono: number): void {
    // What was lost in a silence before stays lost.
    this.#dropLost();
    this.#freshMono = Math.max(this.#freshMono, askedMono);
  }

  #beatInTime(): void {
    clearTimeout(this.#beat);
    if (this.#isStopped) return;
    const dueMono = this.#holds.size > 0 ? Math.min(this.#turnMono, this.#freshMono + BEAT_MS) : this.#turnMono;
    this.#beat = setTimeout(() => this.#keepBeating(), Math.max(0, dueMono - this.clock.mono()));
  }

  /** An order moved a window: look now. */
  look(): void {
    void this.once();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#beat);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#beating;
  }

  async sent(hold: AgentHold, yields: boolean): Promise<Standing> {
    const askedMono = this.clock.mono();
    const { standing, redisAt } = await this.#options.calendar.sent(hold.agent, hold.token, yields);
    this.#redisClock.heard(askedMono, this.clock.mono(), redisAt);
    if (standing === 'lost') this.#holds.get(hold.token)?.lose();
    return standing;
  }

  /** Unheard, its pod's death costs a window that was not used. */
  async unsent({ agent, token }: AgentHold): Promise<void> {
    await this.#options.calendar.unsent(agent, token).catch(() => {});
  }

  toRedis(mono: number): number | undefined {
    return this.#redisClock.toRedis(mono, this.clock.mono());
  }

  toMono(redisAt: number): number {
    return this.#redisClock.toMono(redisAt, this.clock.mono());
  }

  keep(hold: AgentHold, lose: () => void): void {
    const held = this.#holds.get(hold.token);
    if (held) held.lose = lose;
  }

  async release<T>(
    hold: AgentHold,
    laneQueue: LaneQueue,
    job: string,
    release: Release,
    move: (backend: IQueueBackend) => Promise<T>,
  ): Promise<T> {
    const askedMono = this.clock.mono();
    const { reply, released } = await this.#options.calendar.release(laneQueue, job, release, move);
    if (released.redisAt !== undefined) this.#redisClock.heard(askedMono, this.clock.mono(), released.redisAt);
    this.#holds.delete(hold.token);
    const { opensInMs, redisAt = 0 } = released;
    if (opensInMs === undefined) {
      // Others have the agent, or Redis forgot the claim: it acted all the same, which must be known before it acts again.
      if (release.costMs !== null) {
        this.#remember(hold.agent, release.costMs - release.agoMs);
        this.#isRegistered = false;
      }
    } else {
      this.#remember(hold.agent, opensInMs);
      if (released.isWanted && opensInMs < AHEAD_MS) this.#watch(hold.agent, redisAt + opensInMs);
    }
    return reply;
  }

  /** A job comes back into line when it is due, and a beat finds it. */
  lookSoon(): void {
    this.#turnMono = Math.min(this.#turnMono, this.clock.mono() + BEAT_MS);
    this.#beatInTime();
  }

  /** What this pod will not settle: its next beats say that nobody holds it here. */
  forget(hold: AgentHold): void {
    const held = this.#holds.get(hold.token);
    if (!held) return;
    this.#holds.delete(hold.token);
    if (!hold.wasSent) return;
    // Redis forgot the claim, or others had the agent: it acted all the same, which must be known before it acts again.
    this.#remember(hold.agent, this.#lanes.get(held.lane)?.cooldownMs ?? 0);
    this.#isRegistered = false;
  }

  async #fetch(lane: { yieldedMono: number }, laneQueue: LaneQueue, token: string): Promise<FetchedAct | undefined> {
    if (this.#isStopped || !this.#wasRegistered) return undefined;
    const mayYield = this.clock.mono() - lane.yieldedMono > YIELD_MS * 2;
    const { calendar } = this.#options;
    let askedMono = this.clock.mono();
    let claimed: Claimed = await calendar.claim(laneQueue, token, LEAD_MS + EARLY_MS, mayYield, APART_MS);
    // A lane that this pod does not run: its own pods see to it.
    const isForeign = claimed.kind === 'other' && !this.#lanes.has(claimed.lane);
    if (isForeign) {
      askedMono = this.clock.mono();
      claimed = await calendar.claim(laneQueue, token, LEAD_MS + EARLY_MS, false, APART_MS);
    }
    if (claimed.kind === 'gone') void this.once();
    if (claimed.kind === 'other') {
      lane.yieldedMono = this.clock.mono();
      this.#lanes.get(claimed.lane)?.wake();
      this.#wakeIn(`lane ${laneQueue.lane.name}`, YIELD_MS);
    }
    if (claimed.kind !== 'job') return undefined;
    const { claim, redisAt } = claimed;
    this.#redisClock.heard(askedMono, this.clock.mono(), redisAt);
    this.#isAliveSince(askedMono);
    // Its answer was long on its way, or this pod was stopped: others may have it by now. What is not held is taken back.
    if (this.clock.mono() >= this.mayBeginUntilMono) return undefined;
    const hold = new AgentHold(this, claim, redisAt);
    this.#holds.set(hold.token, { hold, lane: laneQueue.lane.name, job: claimed.job.id, lose: () => {} });
    // Silent for longer it would look dead.
    this.#turnMono = Math.min(this.#turnMono, askedMono + QUIET_MS);
    this.#beatInTime();
    return { job: claimed.job, nextAt: 0, hold, hasMore: claimed.hasMore };
  }

  /** By itself, because a beat that Redis does not answer never ends. */
  #dropLost(): void {
    for (const { hold, lose } of this.#holds.values()) if (this.clock.mono() >= hold.untilMono) lose();
  }

  once(): Promise<void> {
    this.#beating ??= this.#doBeat().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  async #doBeat(): Promise<void> {
    const { calendar, events, upstream } = this.#options;
    try {
      if (!this.#isRegistered) await this.#register();
      const askedMono = this.clock.mono();
      const beat = await calendar.beat([...this.#lanes.keys()], [...this.#holds.keys()]);
      if (!beat) {
        this.#isRegistered = false;
        return await this.#register();
      }
      this.#isAliveSince(askedMono);
      this.#redisClock.heard(askedMono, this.clock.mono(), beat.redisAt);
      this.#turnMono = askedMono + beat.turnMs;
      this.#beatInTime();
      this.#isFailing = false;
      for (const { agent, opensInMs } of beat.watch) this.#watch(agent, beat.redisAt + opensInMs);
      for (const { lane, job, agent, wasSent } of beat.freed) {
        events.emit('agent.freed', { upstream, agent, lane, job, wasSent });
      }
    } catch (error) {
      this.#complain('look after agents', error);
    }
  }

  async #register(): Promise<void> {
    const { calendar, agents, upstream, events } = this.#options;
    const lanes = Object.fromEntries([...this.#lanes].map(([name, { cooldownMs }]) => [name, cooldownMs]));
    const isLost = await calendar.register(agents, lanes, this.#wasRegistered, this.#told(), this.#holding());
    if (isLost && !this.#isRegistered) events.emit('agents.lost', { upstream });
    this.#isRegistered = true;
    this.#wasRegistered = true;
  }

  /** For the agents this pod knows of: how long until each may act again. */
  #told(): Record<string, number> {
    const told: Record<string, number> = {};
    for (const [agent, opensMono] of this.#opens) told[agent] = Math.max(0, opensMono - this.clock.mono());
    return told;
  }

  /** What others may have by now is none of it. */
  #holding(): Holding[] {
    const ours = [...this.#holds.values()].filter(({ hold }) => this.clock.mono() < hold.untilMono);
    return ours.map(({ hold: { token, agent }, lane, job }) => ({ token, agent, lane, job }));
  }

  #remember(agent: string, opensInMs: number): void {
    this.#opens.delete(agent);
    this.#opens.set(agent, this.clock.mono() + opensInMs);
    if (this.#opens.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#opens.keys();
    if (oldest !== undefined) this.#opens.delete(oldest);
  }

  #watch(agent: string, opensAt: number): void {
    this.#wakeIn(agent, this.toMono(opensAt) - LEAD_MS - this.clock.mono());
  }

  /** One timer for each reason. */
  #wakeIn(why: string, ms: number): void {
    clearTimeout(this.#timers.get(why));
    this.#timers.delete(why);
    if (this.#isStopped) return;
    const wake = () => {
      this.#timers.delete(why);
      this.#wake();
    };
    if (ms <= 0) wake();
    else this.#timers.set(why, setTimeout(wake, ms));
  }

  #wake(): void {
    for (const { wake } of this.#lanes.values()) wake();
  }

  #complain(what: string, error: unknown): void {
    const { events, upstream } = this.#options;
    if (!this.#isFailing)
      events.emit('redis.failing', { what: `${what} of ${upstream}`, reason: toError(error).message });
    this.#isFailing = true;
  }
}
