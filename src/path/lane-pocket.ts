// What a lane of this pod has in hand: slots and tickets, those in use and those free, and what is still to be said of them.

import type { Ask, Granted } from '../store/limit-driver.ts';
import { SLOT_MS } from '../store/limit-driver.ts';
import type { Clock } from '../words/clock.ts';
import type { LimitPlan } from '../words/limit.ts';
import type { Slot, Ticket } from './held-permit.ts';

/** Slots are named to Redis again when they were not for so long: a seventh of their lease. */
export const KEEP_MS = 2_000;
/** Between "our clock says the lease is over" and "Redis gives the slot to another". */
export const LEASE_MARGIN_MS = 500;
/** What is written at a ticket's last instant is on its way by then. */
const WRITE_MS = 2;

/**
 * That a request arrived frees its ticket a little sooner, an interval later: it is told with the next ask, or after a fifth of the
 * interval, 25 to 200 ms.
 */
export function tellAfterMs({ limits }: LimitPlan): number {
  const shortestMs = Math.min(...limits.flatMap(({ kind, perMs }) => (kind === 'count' ? [perMs] : [])));
  return Math.min(Math.max(shortestMs / 5, 25), 200);
}

/** The part of an ask that says what became of what was had. */
type Said = Pick<Ask, 'freed' | 'unsent' | 'sent' | 'kept' | 'wired'>;

export class LanePocket {
  readonly #clock: Clock;
  readonly #slots = new Set<Slot>();
  #free: Slot[] = [];
  #tickets: Ticket[] = [];
  #freed: string[] = [];
  #unsent: number[] = [];
  #sent: { batch: number; mono: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** In use or free. */
  get hasSlots(): boolean {
    return this.#slots.size > 0;
  }

  get freeSlots(): number {
    return this.#free.length;
  }

  get tickets(): number {
    return this.#tickets.length;
  }

  get hasArrivals(): boolean {
    return this.#sent.length > 0;
  }

  get hasReturns(): boolean {
    return this.#freed.length + this.#unsent.length > 0;
  }

  takeSlots(count: number): Slot[] {
    return count > 0 ? this.#free.splice(-count) : [];
  }

  takeTicket(): Ticket | undefined {
    return this.#tickets.shift();
  }

  /** To be used again here; false when it is over, or no longer ours. */
  keepSlot(slot: Slot): boolean {
    const isGood = this.#slots.has(slot) && this.#clock.mono() < slot.untilMono;
    if (isGood) this.#free.push(slot);
    return isGood;
  }

  keepTicket(ticket: Ticket): boolean {
    const isGood = this.#clock.mono() < ticket.untilMono;
    if (isGood) this.#tickets.push(ticket);
    return isGood;
  }

  drop(slot: Slot): void {
    this.#slots.delete(slot);
    this.#freed.push(slot.id);
  }

  unsent({ batch }: Ticket): void {
    this.#unsent.push(batch);
  }

  arrived({ batch }: Ticket): void {
    this.#sent.push({ batch, mono: this.#clock.mono() });
  }

  /** By this pod's clock, or by Redis. Its id is its own: giving back what may be gone takes nothing from anybody. */
  lose(slot: Slot): void {
    this.#slots.delete(slot);
    if (slot.holder) {
      slot.holder.lose();
      return;
    }
    this.#free = this.#free.filter((free) => free !== slot);
    this.#freed.push(slot.id);
  }

  /** What nobody uses goes back. */
  empty(): void {
    for (const slot of this.#free) this.drop(slot);
    this.#free = [];
    this.dropTickets();
  }

  dropTickets(): void {
    for (const ticket of this.#tickets) this.unsent(ticket);
    this.#tickets = [];
  }

  dropWhatIsOver(): void {
    const now = this.#clock.mono();
    const over = this.#tickets.filter(({ untilMono }) => now >= untilMono);
    for (const ticket of over) this.unsent(ticket);
    if (over.length > 0) this.#tickets = this.#tickets.filter(({ untilMono }) => now < untilMono);
    for (const slot of this.#slots) if (now >= slot.untilMono) this.lose(slot);
  }

  /** Slots that were not named for so long. */
  unnamed(forMs: number): Slot[] {
    const now = this.#clock.mono();
    return [...this.#slots].filter(({ namedMono }) => now - namedMono >= forMs);
  }

  /** All that is to be said, once. */
  say(askedMono: number, named: readonly Slot[]): Said {
    const [freed, unsent, sent] = [this.#freed, this.#unsent, this.#sent];
    this.#freed = [];
    this.#unsent = [];
    this.#sent = [];
    // Redis makes these leases shorter where a request has ended: from now on nobody relies on the longer ones.
    const untilMono = askedMono + SLOT_MS - LEASE_MARGIN_MS;
    for (const slot of named) if (!isOnWire(slot)) slot.untilMono = Math.min(slot.untilMono, untilMono);
    return {
      freed,
      unsent: countBatches(unsent),
      sent: sent.map(({ batch, mono }) => ({ batch, count: 1, arrivedMsAgo: askedMono - mono })),
      kept: named.filter((slot) => !isOnWire(slot)).map(({ id }) => id),
      wired: named.filter(isOnWire).map(({ id }) => id),
    };
  }

  /** It may not have been heard. Slots are given back again; tickets are not, for that could give back another's. */
  unsaid({ freed }: Said): void {
    this.#freed.push(...freed);
  }

  /** Answers whether there is anything new. */
  add(granted: Granted, askedMono: number, named: readonly Slot[]): boolean {
    const untilMono = askedMono + SLOT_MS - LEASE_MARGIN_MS;
    for (const slot of named) {
      if (granted.lost.includes(slot.id)) this.lose(slot);
      else slot.untilMono = Math.max(isOnWire(slot) ? slot.untilMono : 0, untilMono);
      slot.namedMono = askedMono;
    }
    for (const id of granted.slots) {
      const slot: Slot = { id, untilMono, namedMono: askedMono, holder: undefined };
      this.#slots.add(slot);
      this.#free.push(slot);
    }
    const { batch, count, forMs } = granted.tickets ?? { batch: 0, count: 0, forMs: 0 };
    for (let n = 0; n < count; n++) this.#tickets.push({ batch, untilMono: askedMono + forMs - WRITE_MS });
    return granted.slots.length + count > 0;
  }
}

function isOnWire({ holder }: Slot): boolean {
  return holder?.isOnWire ?? false;
}

function countBatches(batches: readonly number[]): { batch: number; count: number }[] {
  const counts = new Map<number, number>();
  for (const batch of batches) counts.set(batch, (counts.get(batch) ?? 0) + 1);
  return [...counts].map(([batch, count]) => ({ batch, count }));
}
