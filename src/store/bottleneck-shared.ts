// What pods share of an upstream's limits on Bottleneck, as one pod sees it: its limiters, their sizes, the state in Redis, notices.
// A beat a second follows orders and definitions, makes known its own, and builds anew a limiter that is stuck.

import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import type { Limit, LimitPlan } from '../words/limit.ts';
import { openBottleneckConnection, type Patch } from './bottleneck-connection.ts';
import { type BottleneckLimiter, openBottleneckLimiter } from './bottleneck-limiter.ts';
import { fitSizes, type Sizes } from './bottleneck-sizes.ts';
import { SLOT_MS } from './limit-driver.ts';
import { type Differ, registerLimits } from './scripts/register-limits.ts';
import { type BottleneckState, syncBottleneck } from './scripts/sync-bottleneck.ts';

const BEAT_MS = 1_000;
const DEFINITION_EVERY_MS = 10_000;
/** After lost state nothing is granted for a window, and no longer than this; slots have none, so for this. */
const CLOSED_MAX_MS = 10_000;
/** Bottleneck tries again with every heartbeat; what takes longer while there is room is stuck. */
const STUCK_MS = 5_000;
const STOP_MS = 1_000;

export interface BottleneckOptions {
  redisUrl: string;
  keys: Keys;
  tag: string;
  pod: string;
  plan: LimitPlan;
  clock: Clock;
  onError?: (error: Error) => void;
  /** Pods begin to define a limit differently: one of them is told. */
  onDrift?: (differ: Differ) => void;
  /** For tests, to show what each patch is for. */
  without?: Patch;
}

export interface SharedNotice {
  kind: 'changed' | 'wanted' | 'held' | 'released';
  pod?: string;
  forMs?: number;
}

export interface Wish {
  /** Slots whose leases begin anew, and those that are only looked at. */
  renewed?: string[];
  /** Which lane has those renewed. */
  lane?: string;
  checked?: string[];
  leaseMs?: number;
  holdMs?: number;
  held?: string;
  queuedNow?: number;
}

type What = 'slots' | 'tickets';

export interface SharedEvents {
  /** The state as it is now, whoever asked for it. */
  onState(state: BottleneckState): void;
  /** What the pod holds, for the beat. */
  onBeat(): Wish;
  /** The beat has been. */
  onBeaten(): void;
  /** From another pod. */
  onNotice(notice: SharedNotice): void;
}

export class BottleneckShared {
  slots: BottleneckLimiter | undefined;
  tickets: BottleneckLimiter | undefined;
  sizes: Sizes;
  readonly perMs: number;
  readonly #options: BottleneckOptions;
  readonly #events: SharedEvents;
  readonly #clock: Clock;
  readonly #connection;
  readonly #channel: string;
  #born = '';
  #definedAtMono = Number.NEGATIVE_INFINITY;
  #beating: Promise<void> | undefined;
  #timer: NodeJS.Timeout;
  #isOpen = false;
  #isStopped = false;

  constructor(options: BottleneckOptions, events: SharedEvents) {
    const { redisUrl, plan, keys, tag } = options;
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock;
    this.sizes = fitSizes(plan, {}, 0);
    this.perMs = Math.max(0, ...plan.limits.map(({ perMs }) => perMs));
    this.#channel = keys.limitNotice(tag);
    this.#connection = openBottleneckConnection(redisUrl, (error) => this.#fail(error), options.without);
    this.#connection.subscriber.on('message', (channel, text) => this.#hear(channel, text));
    this.#connection.subscriber.subscribe(this.#channel).catch(() => {});
    void this.#connection.ready.then(() => this.#beat());
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  /** To every other pod. */
  tell(notice: SharedNotice): void {
    const text = JSON.stringify({ ...notice, pod: this.#options.pod });
    this.#connection.commands.publish(this.#channel, text).catch(() => {});
  }

  async sync(wish: Wish): Promise<BottleneckState> {
    const { keys, tag, pod } = this.#options;
    // A kind that the plan does not have is looked for where the other is.
    const first = this.#id(this.sizes.concurrent === undefined ? 'tickets' : 'slots');
    const ticketSettings = this.sizes.spacingMs === undefined ? first : this.#id('tickets');
    const state = await syncBottleneck.run(
      this.#connection.commands,
      {
        limits: keys.limits(tag),
        slotSettings: `${first}_settings`,
        ticketSettings: `${ticketSettings}_settings`,
        expirations: `${first}_job_expirations`,
        weights: `${first}_job_weights`,
        queued: `${first}_client_num_queued`,
        running: `${first}_client_running`,
        seen: `${first}_client_last_seen`,
        holders: keys.bottleneckHolders(tag),
      },
      {
        client: this.#limiters[0]?.client ?? '',
        leaseMs: Math.ceil(wish.leaseMs ?? SLOT_MS),
        renewed: JSON.stringify(wish.renewed ?? []),
        checked: JSON.stringify(wish.checked ?? []),
        known: this.#born,
        closeMs: this.sizes.concurrent === undefined ? Math.min(this.perMs, CLOSED_MAX_MS) : CLOSED_MAX_MS,
        holdMs: Math.ceil(wish.holdMs ?? 0),
        held: wish.held ?? '',
        queuedNow: wish.queuedNow ?? -1,
        holder: wish.lane === undefined ? '' : `${wish.lane}|${pod}`,
      },
    );
    // Before its limiters are there, a pod knows of no state that could be lost.
    if (this.#isOpen) this.#born = state.born;
    this.#events.onState(state);
    return state;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    const { commands } = this.#connection;
    const limiters = this.#limiters;
    for (const limiter of limiters) limiter.close();
    if (commands.status === 'ready') {
      const farewell: Promise<unknown>[] = [this.#define([])];
      if (this.slots) farewell.push(commands.hdel(`${this.#id('slots')}_client_num_queued`, this.slots.client));
      const told = Promise.allSettled([...farewell, ...limiters.map((limiter) => limiter.givenBack()), this.#beating]);
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        told,
        new Promise((resolve) => {
          timer = setTimeout(resolve, STOP_MS);
        }),
      ]);
      clearTimeout(timer);
    }
    await this.#connection.close();
  }

  get #limiters(): BottleneckLimiter[] {
    return [this.slots, this.tickets].filter((limiter) => limiter !== undefined);
  }

  #id(what: What): string {
    return this.#options.keys.bottleneck(this.#options.tag, what);
  }

  #fail(error: Error): void {
    if (!this.#isStopped) this.#options.onError?.(error);
  }

  #hear(channel: string, text: string): void {
    if (channel !== this.#channel || this.#isStopped) return;
    try {
      const notice = JSON.parse(text) as SharedNotice;
      if (notice.kind === 'changed' || notice.kind === 'released') this.#beat();
      if (notice.pod !== this.#options.pod) this.#events.onNotice(notice);
    } catch (thrown) {
      this.#fail(new Error(`expected a notice on ${channel}, got ${text.slice(0, 100)}: ${toError(thrown).message}`));
    }
  }

  #beat(): void {
    if (this.#isStopped || this.#connection.commands.status !== 'ready') return;
    this.#beating ??= this.#beatOnce()
      .catch((error) => this.#fail(toError(error)))
      .finally(() => {
        this.#beating = undefined;
      });
  }

  async #beatOnce(): Promise<void> {
    const { keys, tag, plan } = this.#options;
    const state = await this.sync({ ...this.#events.onBeat(), queuedNow: this.slots?.queued() ?? -1 });
    if (this.#clock.mono() - this.#definedAtMono > DEFINITION_EVERY_MS) {
      await this.#define(plan.limits);
      this.#definedAtMono = this.#clock.mono();
    }
    const { commands } = this.#connection;
    const fields = await Promise.all(
      [keys.limits(tag), keys.limitDefinitions(tag)].map((key) => commands.hgetall(key)),
    );
    await this.#resize(fitSizes(plan, Object.assign({}, ...fields), state.nowAt));
    for (const limiter of this.#limiters) {
      const hasRoom = limiter === this.tickets || state.used < (this.sizes.concurrent ?? 0);
      if (limiter.queuedForMs() > STUCK_MS && hasRoom && state.closedMs === 0) this.#rebuild(limiter);
    }
    this.#events.onBeaten();
  }

  /** Makes this pod's definition known; none: it leaves. What is lost is Bottleneck's state, which sync watches. */
  async #define(limits: readonly Limit[]): Promise<void> {
    const { keys, tag, pod, onDrift = () => {} } = this.#options;
    const { differ } = await registerLimits.run(
      this.#connection.commands,
      { limits: keys.limits(tag), definitions: keys.limitDefinitions(tag) },
      { pod, driver: 'bottleneck', limits: JSON.stringify(limits), closedMs: '', channel: this.#channel },
    );
    for (const one of differ) onDrift(one);
  }

  /** Opens the limiters, or tells them their new size. A stricter count is full for one window, as if it had been used. */
  async #resize(sizes: Sizes): Promise<void> {
    if (this.#isStopped) return;
    this.sizes = sizes;
    const { concurrent, spacingMs } = sizes;
    if (concurrent !== undefined) this.slots ??= this.#open('slots');
    if (spacingMs !== undefined) this.tickets ??= this.#open('tickets');
    await Promise.all(this.#limiters.map((limiter) => limiter.ready));
    this.#isOpen = true;
    if (concurrent !== undefined) await this.#update('slots', concurrent);
    const before = spacingMs === undefined ? undefined : await this.#update('tickets', spacingMs);
    const isStricter = before !== undefined && before < (spacingMs ?? 0);
    if (isStricter) await this.sync({ holdMs: Math.min(this.perMs, CLOSED_MAX_MS) });
  }

  /** Answers what was there before, when it was another. */
  async #update(what: What, size: number): Promise<number | undefined> {
    const name = what === 'slots' ? 'maxConcurrent' : 'minTime';
    const stored = await this.#connection.commands.hget(`${this.#id(what)}_settings`, name);
    if (stored === null || Number(stored) === size) return undefined;
    await this[what]?.update({ [name]: size });
    return Number(stored);
  }

  #open(what: What): BottleneckLimiter {
    const { concurrent, spacingMs } = this.sizes;
    const settings = what === 'slots' ? { maxConcurrent: concurrent } : { minTime: spacingMs };
    const limiter = openBottleneckLimiter(this.#connection, this.#id(what), settings, SLOT_MS, this.#clock, (error) =>
      this.#fail(error),
    );
    // Cut off while it opened, it never will: the next beat opens another.
    limiter.ready.catch(() => this.#drop(what, limiter));
    return limiter;
  }

  #drop(what: What, limiter: BottleneckLimiter): void {
    limiter.close();
    limiter.leave();
    if (this[what] === limiter) this[what] = undefined;
  }

  #rebuild(limiter: BottleneckLimiter): void {
    const what = limiter === this.slots ? 'slots' : 'tickets';
    this.#fail(new Error(`Bottleneck granted no ${what} for ${STUCK_MS} ms though there was room: built anew`));
    this.#drop(what, limiter);
    this[what] = this.#open(what);
  }
}
