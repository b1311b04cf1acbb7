// What pods share of an upstream's limits on Bottleneck, as one pod sees it: its limiters, their sizes, the state in Redis, notices.
// A beat a second follows orders and definitions, makes known its own, and builds anew a limiter that is stuck.

import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import type { Limit, LimitPlan } from '../words/limit.ts';
import { openBottleneckConnection, type Patch } from './bottleneck-connection.ts';
import type { Want } from './bottleneck-lanes.ts';
import { type BottleneckLimiter, openBottleneckLimiter } from './bottleneck-limiter.ts';
import { countOf, drainMs, fitSizes, type Sizes, ticketForMs } from './bottleneck-sizes.ts';
import { type LimitsShut, SLOT_MS } from './limit-driver.ts';
import { lookTickets } from './scripts/look-tickets.ts';
import { type Differ, registerLimits } from './scripts/register-limits.ts';
import { type BottleneckState, syncBottleneck } from './scripts/sync-bottleneck.ts';
import { tellBottleneck } from './scripts/tell-bottleneck.ts';

const BEAT_MS = 1_000;
const DEFINITION_EVERY_MS = 10_000;
/** After lost state nothing is granted for a window, and no longer than this; slots have none, so for this. */
const CLOSED_MAX_MS = 10_000;
/** Bottleneck tries again with every heartbeat; what takes longer while there is room is stuck. */
const STUCK_MS = 5_000;
const STOP_MS = 1_000;
/** What a pod waits for is forgotten when it has said nothing for three beats. */
const WANT_VALID_MS = 3 * BEAT_MS;

export interface BottleneckOptions {
  redisUrl: string;
  keys: Keys;
  tag: string;
  pod: string;
  plan: LimitPlan;
  clock: Clock;
  onError?: (error: Error) => void;
  /** One pod tells it. */
  onShut?: (shut: LimitsShut) => void;
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
  /** It is about to have, for that lane. */
  tickets?: number;
}

type What = 'slots' | 'tickets';

export interface SharedEvents {
  /** The state as it is now, whoever asked for it. */
  onState(state: BottleneckState): void;
  /** What the pod holds, and what its lanes want, for the beat. */
  onBeat(): { holds: Wish; wants: Want[] };
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
  /** The name of the limit that is a count. */
  readonly #count: string;
  readonly #options: BottleneckOptions;
  readonly #events: SharedEvents;
  readonly #clock: Clock;
  readonly #connection;
  readonly #channel: string;
  #born = '';
  #definedAtMono = Number.NEGATIVE_INFINITY;
  #beating: Promise<void> | undefined;
  /** Something changed while a beat was under way, that may have read what was before. */
  #isBeatDue = false;
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
    this.#count = plan.limits.find(({ kind }) => kind === 'count')?.name ?? '';
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
    const { keys, tag, pod, plan } = this.#options;
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
        uses: keys.limitUses(tag, this.#count),
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
        holder: wish.lane === undefined ? '' : `${wish.lane}|${pod}`,
        tickets: wish.tickets ?? 0,
        count: this.#count,
        perMs: this.perMs,
        sendMs: Math.ceil(ticketForMs(this.perMs) + plan.travelMs),
      },
    );
    // Before its limiters are there, a pod knows of no state that could be lost.
    if (this.#isOpen) this.#born = state.born;
    const reason = 'Redis lost what counts towards its limits';
    if (state.isLost) this.#options.onShut?.({ forMs: state.closedMs, isLost: true, reason });
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
      const farewell: Promise<unknown>[] = [this.#define([]), this.#tellWants([])];
      // Not dropped: of every client that it knows Bottleneck compares how many it has queued, and its scripts fail on none.
      if (this.slots) farewell.push(commands.hset(`${this.#id('slots')}_client_num_queued`, this.slots.client, 0));
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
      if (notice.kind === 'changed' || notice.kind === 'released') {
        this.#isBeatDue = this.#beating !== undefined;
        this.#beat();
      }
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
        if (!this.#isBeatDue) return;
        this.#isBeatDue = false;
        this.#beat();
      });
  }

  async #beatOnce(): Promise<void> {
    const { plan, without } = this.#options;
    const { holds, wants } = this.#events.onBeat();
    const state = await this.sync(holds);
    await this.#tellWants(wants);
    if (this.#clock.mono() - this.#definedAtMono > DEFINITION_EVERY_MS) {
      await this.#define(plan.limits);
      this.#definedAtMono = this.#clock.mono();
    }
    await this.#resize(fitSizes(plan, await this.#readFields(), state.nowAt));
    for (const limiter of this.#limiters) {
      const hasRoom = limiter === this.tickets || state.used < (this.sizes.concurrent ?? 0);
      const isStuck = limiter.queuedForMs() > STUCK_MS && hasRoom && state.closedMs === 0;
      if (isStuck && without !== 'recovery') this.#rebuild(limiter);
    }
    this.#events.onBeaten();
  }

  /** Definitions, and orders by name: the hash of the limits has a bucket for each instant besides, so all of it is never read. */
  async #readFields(): Promise<Record<string, string>> {
    const { keys, tag, plan } = this.#options;
    const { commands } = this.#connection;
    const fields = await commands.hgetall(keys.limitDefinitions(tag));
    const names = new Set([...plan.limits.map(({ name }) => name), ...(JSON.parse(fields.names ?? '[]') as string[])]);
    const orders = [...names].map((name) => `set:${name}`);
    const set = await commands.hmget(keys.limits(tag), ...orders);
    for (const [index, order] of orders.entries()) if (set[index]) fields[order] = set[index];
    return fields;
  }

  async #tellWants(wants: Want[]): Promise<void> {
    const { keys, tag, pod } = this.#options;
    const slots = this.#id('slots');
    await tellBottleneck.run(
      this.#connection.commands,
      {
        limits: keys.limits(tag),
        waiting: keys.limitWaiting(tag),
        holders: keys.bottleneckHolders(tag),
        weights: `${slots}_job_weights`,
        queued: `${slots}_client_num_queued`,
        seen: `${slots}_client_last_seen`,
      },
      {
        pod,
        wants: JSON.stringify(wants),
        validMs: WANT_VALID_MS,
        client: this.slots?.client ?? '',
        queuedNow: this.slots?.queued() ?? 0,
      },
    );
  }

  /** Makes this pod's definition known; none: it leaves. What is lost is Bottleneck's state, which sync watches. */
  async #define(limits: readonly Limit[]): Promise<void> {
    const { keys, tag, pod, onDrift = () => {} } = this.#options;
    const { differ } = await registerLimits.run(
      this.#connection.commands,
      { limits: keys.limits(tag), definitions: keys.limitDefinitions(tag) },
      { pod, driver: 'bottleneck', limits: JSON.stringify(limits), closedMs: '', channel: this.#channel, known: '' },
    );
    for (const one of differ) onDrift(one);
  }

  /** Opens the limiters, or tells them their new size. */
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
    if (spacingMs !== undefined && before !== undefined && before < spacingMs) await this.#drain(spacingMs);
  }

  /** A stricter count: nothing starts until what counts already leaves room for it, nor what was granted ahead with the pause before. */
  async #drain(spacingMs: number): Promise<void> {
    const { keys, tag, pod, plan } = this.#options;
    const { aheadMs, batches } = await lookTickets.run(
      this.#connection.commands,
      {
        limits: keys.limits(tag),
        uses: keys.limitUses(tag, this.#count),
        settings: `${this.#id('tickets')}_settings`,
      },
      { count: this.#count },
    );
    const holdMs = Math.max(aheadMs, drainMs(batches, countOf(spacingMs, this.perMs, plan.travelMs), spacingMs));
    if (holdMs === 0) return;
    const held = JSON.stringify({ reason: `${this.#count} became smaller: what counts already has to end`, who: pod });
    await this.sync({ holdMs, held });
    this.tell({ kind: 'held', forMs: holdMs });
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
