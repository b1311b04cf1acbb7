// The driver of limits on Bottleneck: a limiter for slots (`maxConcurrent`) and one for tickets (`minTime`). Bottleneck decides who
// may start; sync-bottleneck.lua then hands out, so that nothing goes out while a hold is on or after the state was lost, and a
// slot's lease begins when its pod fetches it. A ticket that was not sent is burnt.

import type { Clock } from '../words/clock.ts';
import type { LimitPlan } from '../words/limit.ts';
import { BottleneckLanes, type Lane, type Taken } from './bottleneck-lanes.ts';
import type { BottleneckLimiter, Piece } from './bottleneck-limiter.ts';
import { type BottleneckOptions, BottleneckShared, type SharedNotice } from './bottleneck-shared.ts';
import { ticketForMs } from './bottleneck-sizes.ts';
import type { Ask, Granted, LimitDriver, LimitNotice } from './limit-driver.ts';
import type { BottleneckState } from './scripts/sync-bottleneck.ts';

export type { BottleneckOptions } from './bottleneck-shared.ts';

/** Slots asked for at a time: each is three scripts, one after the other. */
const SLOTS_AHEAD = 8;
/** A ticket is asked for while the one before is still to come, so that none is late by a round trip. */
const TICKETS_AHEAD_MS = 40;
/** A pod that gave a slot back for others lets them be first. */
const COURTESY_MS = 15;
/** To move a slot to another pod takes some 7 ms: after each answer of 100 ms that costs 7 % of three slots, after every other 4 %. */
const SLICE_MS = 120;
const WANTED_EVERY_MS = 100;
const TIDY_MS = 50;
const AGAIN_MS = 1_000;
/** A hold whose end is so much sooner than was told was ended by somebody. */
const RELEASED_MS = 2_000;

export function openBottleneckDriver(options: BottleneckOptions): LimitDriver {
  return new BottleneckDriver(options);
}

class BottleneckDriver implements LimitDriver {
  readonly plan: LimitPlan;
  readonly needs: LimitDriver['needs'];
  readonly #clock: Clock;
  readonly #pod: string;
  readonly #shared: BottleneckShared;
  readonly #lanes = new BottleneckLanes();
  readonly #listeners: ((notice: LimitNotice) => void)[] = [];
  #podsWaiting = 0;
  #podsActive = 1;
  #used = 0;
  #batches = 0;
  #holding = 0;
  #closedUntilMono = 0;
  #courtesyUntilMono = 0;
  #wantedAtMono = 0;
  #heardMono = 0;
  #tidyTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: BottleneckOptions) {
    this.plan = options.plan;
    const has = (kind: string) => options.plan.limits.some((limit) => limit.kind === kind);
    this.needs = { slots: has('concurrent'), tickets: has('count') };
    this.#clock = options.clock;
    this.#pod = options.pod;
    this.#shared = new BottleneckShared(options, {
      onState: (state) => this.#learn(state),
      onBeat: () => ({
        holds: { renewed: this.#lanes.readySlots, checked: this.#lanes.heldSlots },
        wants: this.#lanes.wants,
      }),
      onBeaten: () => this.#goOn(),
      onNotice: (notice) => this.#hear(notice),
    });
  }

  onNotice(listener: (notice: LimitNotice) => void): void {
    this.#listeners.push(listener);
  }

  async ask(ask: Ask): Promise<Granted> {
    const askedMono = this.#clock.mono();
    // Its leases are never made shorter: what is on the wire needs no other word.
    const kept = [...ask.kept, ...ask.wired];
    const lane = this.#lanes.want(ask.lane, ask.weight, ask.slots, ask.tickets);
    for (const slot of ask.freed) this.#free(lane, slot);
    this.#assign(lane);
    const taken = this.#lanes.take(lane);
    const fetched = taken.slots.map(({ id }) => id);
    let lost: string[] = [];
    if (kept.length + fetched.length + taken.tickets.length > 0) {
      // Held from now on, so that meanwhile a beat looks after them.
      for (const piece of taken.slots) lane.held.set(piece.id, { piece, sinceMono: askedMono });
      const asked = { renewed: [...kept, ...fetched], lane: lane.name, tickets: taken.tickets.length };
      const state = await this.#shared.sync(asked).catch((error) => {
        this.#undo(lane, taken, new Set(fetched));
        throw error;
      });
      lost = kept.filter((slot) => state.lost.has(slot));
      for (const slot of lost) drop(lane, slot);
      this.#undo(lane, taken, state.closedMs > 0 ? new Set(fetched) : state.lost);
      if (state.closedMs > 0) burn(lane, taken);
    }
    const untilMono = Math.min(...taken.tickets.map((ticket) => ticket.untilMono));
    if (untilMono - this.#clock.mono() < 1) burn(lane, taken);
    this.#goOn(lane);
    const tickets = { batch: ++this.#batches, count: taken.tickets.length, forMs: untilMono - askedMono };
    return {
      slots: taken.slots.map(({ id }) => id),
      tickets: taken.tickets.length > 0 ? tickets : undefined,
      lost,
      againInMs: lane.slots + lane.tickets > 0 ? this.#againInMs() : undefined,
      isContended: this.#isContended(lane),
    };
  }

  async extend(slot: string, forMs: number): Promise<boolean> {
    const { lost } = await this.#shared.sync({ renewed: [slot], leaseMs: forMs });
    return !lost.has(slot);
  }

  async hold(forMs: number, reason: string): Promise<boolean> {
    const isNews = this.#clock.mono() + forMs > this.#closedUntilMono + 100;
    this.#close(forMs);
    this.#holding++;
    await this.#shared.sync({ holdMs: forMs, held: JSON.stringify({ reason, who: this.#pod }) }).finally(() => {
      this.#holding--;
    });
    this.#shared.tell({ kind: 'held', forMs });
    return isNews;
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#tidyTimer);
    for (const piece of this.#lanes.takeAll()) piece.giveBack();
    await this.#shared.stop();
  }

  #emit(notice: LimitNotice): void {
    if (!this.#isStopped) for (const listener of this.#listeners) listener(notice);
  }

  #hear(notice: SharedNotice): void {
    if (notice.kind === 'held') this.#close(notice.forMs ?? 0);
    if (notice.kind === 'released') this.#reopen();
    if (notice.kind !== 'wanted') return;
    this.#podsWaiting ||= 1;
    this.#podsActive = Math.max(this.#podsActive, 2);
    const nowMono = this.#clock.mono();
    if (this.#lanes.heldCount <= this.#podShare || nowMono - this.#heardMono < WANTED_EVERY_MS) return;
    this.#heardMono = nowMono;
    this.#emit({ kind: 'wanted' });
  }

  #learn(state: BottleneckState): void {
    this.#podsWaiting = state.podsWaiting;
    this.#podsActive = Math.max(1, state.podsActive);
    this.#used = state.used;
    // An end whose notice was lost. A state that was read before our own hold was written knows nothing of it.
    const isReleased = this.#closedUntilMono > this.#clock.mono() + state.closedMs + RELEASED_MS;
    if (isReleased && this.#holding === 0) this.#reopen();
    this.#close(state.closedMs);
    // Who asked with them hears by its answer; who did not, after a beat.
    for (const lane of this.#lanes.lose(state.lost)) this.#emit({ kind: 'free', lane: lane.name });
  }

  #againInMs(): number {
    const closedMs = this.#closedUntilMono - this.#clock.mono();
    return closedMs > 0 ? Math.ceil(closedMs) : AGAIN_MS;
  }

  /** What of the slots falls to this pod. */
  get #podShare(): number {
    if (this.#podsWaiting === 0) return this.#lanes.heldCount;
    return (this.#shared.sizes.concurrent ?? 0) / this.#podsActive;
  }

  /** More is used than may be, since the size became less. */
  get #isOver(): boolean {
    return this.#used > (this.#shared.sizes.concurrent ?? Number.POSITIVE_INFINITY);
  }

  #isContended(lane: Lane): boolean {
    if (this.#isOver) return true;
    const [oldest] = lane.held.values();
    const isSliceOver = oldest !== undefined && this.#clock.mono() - oldest.sinceMono > SLICE_MS;
    const isWanted = (this.#podsWaiting > 0 && isSliceOver) || this.#lanes.doesAnotherWant(lane);
    return isWanted && this.#lanes.isOverShare(lane, this.#podShare);
  }

  #free(lane: Lane, slot: string): void {
    const piece = lane.held.get(slot)?.piece;
    if (!piece) return;
    const isOurs = !this.#isOver && this.#lanes.heldCount <= this.#podShare;
    lane.held.delete(slot);
    if (isOurs && this.#lanes.slotsShort > 0) {
      this.#lanes.addSlot(piece);
      return;
    }
    piece.giveBack();
    this.#used--;
    if (this.#podsWaiting > 0) this.#courtesyUntilMono = this.#clock.mono() + COURTESY_MS;
  }

  /** Takes slots out of what is about to be handed out. */
  #undo(lane: Lane, taken: Taken, slots: ReadonlySet<string>): void {
    for (const { id } of taken.slots) {
      if (!slots.has(id)) continue;
      drop(lane, id);
      lane.slots++;
    }
    taken.slots = taken.slots.filter(({ id }) => !slots.has(id));
  }

  /** Nobody is let through for so long: what lies ready goes back. */
  #close(forMs: number): void {
    const untilMono = this.#clock.mono() + forMs;
    if (forMs <= 0 || untilMono <= this.#closedUntilMono + 5) return;
    this.#closedUntilMono = untilMono;
    for (const piece of this.#lanes.takeAll()) piece.giveBack();
    this.#emit({ kind: 'held', forMs });
    this.#tidySoon();
  }

  /** Somebody ended the hold. What else closes it, the next state says. */
  #reopen(): void {
    this.#closedUntilMono = Number.NEGATIVE_INFINITY;
    clearTimeout(this.#tidyTimer);
    this.#tidyTimer = undefined;
    this.#emit({ kind: 'released' });
    this.#goOn();
  }

  #goOn(asking?: Lane): void {
    if (this.#isStopped) return;
    this.#assign(asking);
    this.#pump();
  }

  /** Hands what lies ready to those whose turn it is; `asking` hears of it by its answer. */
  #assign(asking?: Lane): void {
    for (const lane of this.#lanes.assign(this.#clock.mono())) {
      if (lane !== asking) this.#emit({ kind: 'free', lane: lane.name });
    }
    for (const piece of this.#lanes.takeUnwanted()) piece.giveBack();
  }

  /** Asks Bottleneck for what is wanted. */
  #pump(): void {
    const nowMono = this.#clock.mono();
    const { slots, tickets, sizes } = this.#shared;
    const { slotsShort, ticketsShort, readySlots } = this.#lanes;
    if (nowMono >= this.#closedUntilMono) {
      const ticketsAhead = Math.max(1, Math.ceil(TICKETS_AHEAD_MS / (sizes.spacingMs ?? TICKETS_AHEAD_MS)));
      // A slot that waits for its ticket serves nobody: no more of them than tickets are under way.
      const slotsAhead = tickets ? ticketsAhead - readySlots.length : SLOTS_AHEAD;
      if (slots && nowMono >= this.#courtesyUntilMono) {
        for (let n = Math.min(slotsShort, slotsAhead) - slots.pending(); n > 0; n--) this.#takeSlot(slots);
      }
      if (tickets) {
        for (let n = Math.min(ticketsShort, ticketsAhead) - tickets.pending(); n > 0; n--) this.#takeTicket(tickets);
      }
      if (slotsShort > 0 && nowMono - this.#wantedAtMono > WANTED_EVERY_MS) {
        this.#wantedAtMono = nowMono;
        this.#shared.tell({ kind: 'wanted' });
        if (this.#lanes.heldCount > 0) this.#emit({ kind: 'wanted' });
      }
    }
    if (slotsShort + ticketsShort + readySlots.length > 0) this.#tidySoon();
  }

  #takeSlot(limiter: BottleneckLimiter): void {
    limiter.take().then(
      (piece) => {
        if (this.#isStopped || this.#clock.mono() < this.#closedUntilMono) return piece.giveBack();
        this.#lanes.addSlot(piece);
        this.#goOn();
      },
      () => {}, // dropped: the beat asks again
    );
  }

  #takeTicket(limiter: BottleneckLimiter): void {
    limiter.take().then(
      (piece) => {
        piece.giveBack();
        this.#awaitTicket(piece);
      },
      () => {},
    );
  }

  /** It is granted for an instant that lies between two of ours, to a whole millisecond cut off: never early, and never late. */
  #awaitTicket(piece: Piece): void {
    const earlyMs = piece.answeredMono + piece.waitMs + 1 - this.#clock.mono();
    if (earlyMs > 0) {
      setTimeout(() => this.#awaitTicket(piece), Math.ceil(earlyMs)).unref();
      return;
    }
    if (this.#isStopped || this.#clock.mono() < this.#closedUntilMono) return;
    this.#lanes.addTicket({ untilMono: piece.askedMono + piece.waitMs + ticketForMs(this.#shared.perMs) });
    this.#goOn();
  }

  /** While somebody waits: what was not fetched goes to others, and who may ask again is told. */
  #tidySoon(): void {
    if (this.#tidyTimer || this.#isStopped) return;
    const nowMono = this.#clock.mono();
    const inMs = Math.max(this.#closedUntilMono, this.#courtesyUntilMono) - nowMono;
    this.#tidyTimer = setTimeout(
      () => {
        this.#tidyTimer = undefined;
        this.#goOn();
      },
      Math.ceil(Math.min(inMs > 0 ? inMs : TIDY_MS, AGAIN_MS)),
    ).unref();
  }
}

function drop(lane: Lane, slot: string): void {
  lane.held.get(slot)?.piece.giveBack();
  lane.held.delete(slot);
}

function burn(lane: Lane, taken: Taken): void {
  lane.tickets += taken.tickets.length;
  taken.tickets = [];
}
