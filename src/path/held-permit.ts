// What one attempt holds: slots for as long as it runs, a ticket for its first request, and the right to more. It is handed on to
// the next job of its lane, or goes back.

import type { Clock } from '../words/clock.ts';
import { formatDuration } from '../words/duration.ts';
import { LanekeeperError } from '../words/errors.ts';
import { UpstreamError } from '../words/failure.ts';
import type { Permit, Sending } from './permit.ts';

/** Of the 100 ms that a ticket may be sent: a lane whose jobs send nothing would else ask for all its tickets at one instant. */
const AHEAD_MS = 40;

export interface Slot {
  readonly id: string;
  /** Monotonic: from then on it may be another's. */
  untilMono: number;
  namedMono: number;
  holder: HeldPermit | undefined;
}

export interface Ticket {
  readonly batch: number;
  readonly untilMono: number;
}

/** Where a permit comes from, and goes back to. */
export interface PermitHome {
  readonly upstream: string;
  readonly clock: Clock;
  readonly travelMs: number;
  /** Requests of one attempt at a time. */
  readonly requests: number;
  readonly needsTickets: boolean;
  /** Monotonic: the upstream lets nobody through before. */
  readonly heldUntilMono: number;
  /** Whether what was used here should be used here again. */
  mayHandOn(): boolean;
  /** Without waiting. */
  takeTicket(): Ticket | undefined;
  nextTicket(forMs: number, signal: AbortSignal): Promise<Ticket>;
  /** One that is in hand runs out soon: the next is here before it does. */
  wantAhead(): void;
  unsent(ticket: Ticket): void;
  arrived(ticket: Ticket): void;
  extend(slot: Slot, forMs: number): Promise<boolean>;
  /** For others, while its attempt waits for something else. */
  stepAside(permit: HeldPermit, slots: readonly Slot[], ticket: Ticket | undefined): void;
  nextSlots(forMs: number, signal: AbortSignal): Promise<Slot[]>;
  takeBack(permit: HeldPermit, slots: readonly Slot[], ticket: Ticket | undefined): void;
  hold(forMs: number, reason: string): void;
}

export class HeldPermit implements Permit {
  readonly #home: PermitHome;
  #slots: readonly Slot[];
  /** While it stepped aside. */
  #isAside = false;
  #returning: Promise<void> | undefined;
  #ticket: Ticket | undefined;
  #open = 0;
  #turns: (() => void)[] = [];
  #isLost = false;
  #isGivenBack = false;
  #onLost: () => void = () => {};

  constructor(home: PermitHome, slots: readonly Slot[], ticket: Ticket | undefined) {
    this.#home = home;
    this.#slots = slots;
    this.#ticket = ticket;
  }

  /** A request is under way: its slot is not let go before its time. */
  get isOnWire(): boolean {
    return this.#open > 0;
  }

  /** Called when another may have its slot by now. */
  onLost(then: () => void): void {
    this.#onLost = then;
    if (this.#isLost) then();
  }

  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#onLost();
  }

  /** For the next job: true when it holds all that a job needs. */
  renew(): boolean {
    if (this.#isLost || this.#isAside || this.#open > 0 || !this.#home.mayHandOn()) return false;
    const now = this.#home.clock.mono();
    if (this.#slots.some(({ untilMono }) => now >= untilMono)) return false;
    if (!this.#home.needsTickets) return true;
    if (this.#ticket && now < this.#ticket.untilMono) {
      if (this.#ticket.untilMono - now < AHEAD_MS) this.#home.wantAhead();
      return true;
    }
    if (this.#ticket) this.#home.unsent(this.#ticket);
    this.#ticket = this.#home.takeTicket();
    return this.#ticket !== undefined;
  }

  /** It ran out before it was sent: it counts no more. */
  dropLateTicket(): void {
    if (!this.#ticket || this.#home.clock.mono() < this.#ticket.untilMono) return;
    this.#home.unsent(this.#ticket);
    this.#ticket = undefined;
  }

  /** When its last request has ended. */
  giveBack(): void {
    this.#isGivenBack = true;
    this.#onLost = () => {};
    if (this.#open > 0) return;
    const ticket = this.#ticket;
    this.#ticket = undefined;
    this.#home.takeBack(this, this.#slots, ticket);
  }

  stepAside(): void {
    if (this.#open > 0 || this.#isLost || this.#isGivenBack || this.#slots.length === 0) return;
    const [slots, ticket] = [this.#slots, this.#ticket];
    this.#slots = [];
    this.#ticket = undefined;
    this.#isAside = true;
    this.#home.stepAside(this, slots, ticket);
  }

  async toSend(forMs: number, signal: AbortSignal): Promise<Sending> {
    await this.#turn(signal);
    try {
      await this.#waitForHold(forMs, signal);
      if (this.#isAside) await this.#comeBack(forMs, signal);
      const slotUntil = await this.#cover(forMs);
      const ticket = this.#home.needsTickets ? await this.#takeTicket(forMs, signal) : undefined;
      return this.#sending(ticket, Math.min(slotUntil, ticket?.untilMono ?? Number.POSITIVE_INFINITY));
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  hold(forMs: number, reason: string): void {
    this.#home.hold(forMs, reason);
  }

  /** An attempt's requests share its slots one at a time. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#open < Math.max(1, this.#home.requests)) {
      this.#open++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#turns = this.#turns.filter((turn) => turn !== go);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#turns.push(go);
    });
  }

  #end(): void {
    const next = this.#turns.shift();
    if (next) {
      next(); // the turn is handed on
      return;
    }
    this.#open--;
    if (this.#isGivenBack) this.giveBack();
  }

  async #waitForHold(forMs: number, signal: AbortSignal): Promise<void> {
    const { clock, upstream } = this.#home;
    for (;;) {
      const leftMs = this.#home.heldUntilMono - clock.mono();
      if (leftMs <= 0) return;
      // Longer than this attempt lives: it parks instead of waiting to no end.
      if (leftMs >= forMs) throw waitTooLong(upstream, leftMs, clock.now());
      await pause(leftMs, signal);
    }
  }

  /** Its requests wait together: the one whose signal they wait by may be aborted before the others. */
  async #comeBack(forMs: number, signal: AbortSignal): Promise<void> {
    while (this.#isAside) {
      signal.throwIfAborted();
      this.#returning ??= this.#takeSlots(forMs, signal).finally(() => {
        this.#returning = undefined;
      });
      await this.#returning.catch(() => {});
    }
  }

  async #takeSlots(forMs: number, signal: AbortSignal): Promise<void> {
    this.#slots = await this.#home.nextSlots(forMs, signal);
    for (const slot of this.#slots) slot.holder = this;
    this.#isAside = false;
  }

  /** Slots last for as long as the answer may take; answers until when they do. */
  async #cover(forMs: number): Promise<number> {
    const { clock } = this.#home;
    let untilMono = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots) {
      const isShort = slot.untilMono < clock.mono() + forMs;
      if (this.#isLost || (isShort && !(await this.#home.extend(slot, forMs)))) throw permitLost();
      untilMono = Math.min(untilMono, slot.untilMono);
    }
    return untilMono;
  }

  async #takeTicket(forMs: number, signal: AbortSignal): Promise<Ticket> {
    const { clock } = this.#home;
    const first = this.#ticket;
    this.#ticket = undefined;
    if (first && clock.mono() < first.untilMono) return first;
    if (first) this.#home.unsent(first);
    return this.#home.nextTicket(forMs, signal);
  }

  #sending(ticket: Ticket | undefined, untilMono: number): Sending {
    const { clock, travelMs } = this.#home;
    let hasArrived = false;
    const answered = () => {
      if (!hasArrived && ticket) this.#home.arrived(ticket);
      hasArrived = true;
    };
    return {
      untilMono,
      unsent: () => {
        if (ticket && clock.mono() < ticket.untilMono && !this.#ticket) this.#ticket = ticket;
        else if (ticket) this.#home.unsent(ticket);
        this.#end();
      },
      answered,
      ended: (wasCut) => {
        // A cut request counts at the upstream until it notices, and its ticket as if it had arrived at the last instant.
        if (!wasCut) answered();
        if (wasCut) setTimeout(() => this.#end(), travelMs);
        else this.#end();
      },
    };
  }
}

function permitLost(): LanekeeperError {
  return new LanekeeperError('LK_ATTEMPT_OVER', 'its permit ran out: another attempt may have it by now');
}

export function waitTooLong(upstream: string, leftMs: number, nowAt: number): UpstreamError {
  return new UpstreamError(`${upstream} lets nobody through for another ${formatDuration(leftMs)}`, {
    class: 'rate-limit',
    status: null,
    retryAfterAt: Math.ceil(nowAt + leftMs),
  });
}

/** Rejects with the signal's reason when that is aborted first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
    function done() {
      signal.removeEventListener('abort', leave);
      resolve();
    }
    function leave() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal.addEventListener('abort', leave, { once: true });
  });
}
