// What one attempt holds: slots for as long as it runs, a ticket for its first request, and the right to more. It is handed on to
// the next job of its lane, or goes back.

import { formatDuration } from '../words/duration.ts';
import { LanekeeperError } from '../words/errors.ts';
import { UpstreamError } from '../words/failure.ts';
import type { Permit, Sending } from './permit.ts';
import type { LaneDesk, Slot, Ticket } from './permit-desk.ts';

export class HeldPermit implements Permit {
  readonly #desk: LaneDesk;
  readonly #slots: readonly Slot[];
  #ticket: Ticket | undefined;
  #open = 0;
  #turns: (() => void)[] = [];
  #isLost = false;
  #isGivenBack = false;
  #onLost: () => void = () => {};

  constructor(desk: LaneDesk, slots: readonly Slot[], ticket: Ticket | undefined) {
    this.#desk = desk;
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
    if (this.#isLost || this.#open > 0 || !this.#desk.mayHandOn()) return false;
    const now = this.#desk.desk.options.clock.mono();
    if (this.#slots.some(({ untilMono }) => now >= untilMono)) return false;
    if (!this.#desk.needsTickets) return true;
    if (this.#ticket && now < this.#ticket.untilMono) return true;
    if (this.#ticket) this.#desk.unsent(this.#ticket);
    this.#ticket = this.#desk.renewTicket();
    return this.#ticket !== undefined;
  }

  /** When its last request has ended. */
  giveBack(): void {
    this.#isGivenBack = true;
    this.#onLost = () => {};
    if (this.#open > 0) return;
    const ticket = this.#ticket;
    this.#ticket = undefined;
    this.#desk.takeBack(this.#slots, ticket);
  }

  async toSend(forMs: number, signal: AbortSignal): Promise<Sending> {
    await this.#turn(signal);
    try {
      await this.#waitForHold(forMs, signal);
      const slotUntil = await this.#cover(forMs);
      const ticket = this.#desk.needsTickets ? await this.#takeTicket(signal) : undefined;
      return this.#sending(ticket, Math.min(slotUntil, ticket?.untilMono ?? Number.POSITIVE_INFINITY));
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  hold(forMs: number, reason: string): void {
    this.#desk.desk.hold(forMs, reason);
  }

  /** An attempt's requests share its slots one at a time. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#open < Math.max(1, this.#desk.requests)) {
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
    // The turn is handed on.
    if (next) {
      next();
      return;
    }
    this.#open--;
    if (this.#isGivenBack) this.giveBack();
  }

  async #waitForHold(forMs: number, signal: AbortSignal): Promise<void> {
    const { clock, upstream } = this.#desk.desk.options;
    for (;;) {
      const leftMs = this.#desk.desk.heldUntilMono - clock.mono();
      if (leftMs <= 0) return;
      // Longer than this attempt lives: it parks instead of waiting to no end.
      if (leftMs >= forMs) throw heldFor(upstream, leftMs, clock.now());
      await pause(leftMs, signal);
    }
  }

  /** Slots last for as long as the answer may take; answers until when they do. */
  async #cover(forMs: number): Promise<number> {
    const { clock } = this.#desk.desk.options;
    let untilMono = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots) {
      const isShort = slot.untilMono < clock.mono() + forMs;
      if (this.#isLost || (isShort && !(await this.#desk.extend(slot, forMs)))) throw permitLost();
      untilMono = Math.min(untilMono, slot.untilMono);
    }
    return untilMono;
  }

  async #takeTicket(signal: AbortSignal): Promise<Ticket> {
    const { clock } = this.#desk.desk.options;
    const first = this.#ticket;
    this.#ticket = undefined;
    if (first && clock.mono() < first.untilMono) return first;
    if (first) this.#desk.unsent(first);
    return this.#desk.nextTicket(signal);
  }

  #sending(ticket: Ticket | undefined, untilMono: number): Sending {
    const { clock, driver } = this.#desk.desk.options;
    let hasArrived = false;
    const answered = () => {
      if (!hasArrived && ticket) this.#desk.arrived(ticket);
      hasArrived = true;
    };
    return {
      untilMono,
      unsent: () => {
        if (ticket && clock.mono() < ticket.untilMono && !this.#ticket) this.#ticket = ticket;
        else if (ticket) this.#desk.unsent(ticket);
        this.#end();
      },
      answered,
      ended: (wasCut) => {
        // A cut request counts at the upstream until it notices, and its ticket as if it had arrived at the last instant.
        if (!wasCut) answered();
        if (wasCut) setTimeout(() => this.#end(), driver.plan.travelMs);
        else this.#end();
      },
    };
  }
}

function permitLost(): LanekeeperError {
  return new LanekeeperError('LK_ATTEMPT_OVER', 'its permit ran out: another attempt may have it by now');
}

function heldFor(upstream: string, leftMs: number, nowAt: number): UpstreamError {
  return new UpstreamError(`${upstream} lets nobody through for another ${formatDuration(leftMs)}`, {
    class: 'rate-limit',
    status: null,
    retryAfterAt: Math.ceil(nowAt + leftMs),
  });
}

/** Rejects with the signal's reason when that is aborted first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
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
