// One lane's permits in this pod: what it asks for before it fetches, what is handed on from job to job, what goes back.

import type { Ask, Granted, LimitDriver } from '../store/limit-driver.ts';
import { SLOT_MS } from '../store/limit-driver.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { HeldPermit, type PermitHome, type Slot, type Ticket } from './held-permit.ts';

/** Slots are named to Redis again when they were not for so long: a seventh of their lease. */
export const KEEP_MS = 2_000;
/** Between "our clock says the lease is over" and "Redis gives the slot to another". */
const LEASE_MARGIN_MS = 500;
/** Permits asked for at once, beginning with one and doubled while all are used. */
const MAX_STRIDE = 64;
const FAILED_PAUSE_MS = 1_000;
/** That a request arrived frees its ticket a little sooner: many are told together. */
const TELL_MS = 25;

export interface DeskLane {
  readonly name: string;
  readonly weight: number;
  readonly requests: number;
}

/** What the lanes of one upstream share. */
export interface Shared {
  readonly upstream: string;
  readonly driver: LimitDriver;
  readonly clock: Clock;
  readonly events: EventHub;
  /** Monotonic: the upstream lets nobody through before. */
  readonly heldUntilMono: number;
  hold(forMs: number, reason: string): void;
}

export class LaneDesk implements PermitHome {
  readonly name: string;
  readonly #shared: Shared;
  readonly #lane: DeskLane;
  readonly #slots = new Set<Slot>();
  #free: Slot[] = [];
  #tickets: Ticket[] = [];
  #freed: string[] = [];
  #unsent: number[] = [];
  #sent: { batch: number; mono: number }[] = [];
  /** Requests that go beyond their attempt's first, waiting for a ticket. */
  #waiting: ((ticket: Ticket) => void)[] = [];
  #wanted = 0;
  #wantedSince: number | undefined;
  #then: () => void = () => {};
  #stride = 1;
  #ahead = 0;
  #isContended = false;
  #isResting = true;
  #isAsking = false;
  #isAskedAgain = false;
  #isSoon = false;
  #isTelling = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(shared: Shared, lane: DeskLane) {
    this.#shared = shared;
    this.name = lane.name;
    this.#lane = lane;
  }

  get #mono(): number {
    return this.#shared.clock.mono();
  }

  get upstream(): string {
    return this.#shared.upstream;
  }

  get clock(): Clock {
    return this.#shared.clock;
  }

  get travelMs(): number {
    return this.#shared.driver.plan.travelMs;
  }

  get requests(): number {
    return this.#lane.requests;
  }

  get heldUntilMono(): number {
    return this.#shared.heldUntilMono;
  }

  hold(forMs: number, reason: string): void {
    this.#shared.hold(forMs, reason);
  }

  /** Undefined: it is asked for, and `then` called when it is worth trying again. `wanted`: how many could be used at once. */
  tryTake(wanted: number, then: () => void): HeldPermit | undefined {
    const { needs } = this.#shared.driver;
    this.#wanted = wanted;
    this.#then = then;
    this.#isResting = false;
    this.#dropWhatIsOver();
    const unit = needs.slots ? this.#lane.requests : 0;
    const isOpen = this.#mono >= this.#shared.heldUntilMono;
    if (isOpen && this.#free.length >= unit && (!needs.tickets || this.#tickets.length > 0)) {
      const slots = unit > 0 ? this.#free.splice(-unit) : [];
      const permit = new HeldPermit(this, slots, needs.tickets ? this.#tickets.shift() : undefined);
      for (const slot of slots) slot.holder = permit;
      this.#wanted--;
      this.#granted();
      return permit;
    }
    this.#wantedSince ??= this.#mono;
    if (isOpen) this.#ask();
    else this.#wakeIn(this.#shared.heldUntilMono - this.#mono);
    return undefined;
  }

  #granted(): void {
    const { events, upstream } = this.#shared;
    const waitedMs = this.#wantedSince === undefined ? 0 : this.#mono - this.#wantedSince;
    this.#wantedSince = undefined;
    events.emit('permit.granted', { upstream, lane: this.name, waitedMs });
  }

  takeTicket(): Ticket | undefined {
    this.#dropWhatIsOver();
    return this.#tickets.shift();
  }

  wantAhead(): void {
    if (this.#tickets.length > this.#ahead) return;
    this.#ahead++;
    this.#askSoon();
  }

  get needsTickets(): boolean {
    return this.#shared.driver.needs.tickets;
  }

  mayHandOn(): boolean {
    return !this.#isContended && !this.#isStopped && this.#mono >= this.#shared.heldUntilMono;
  }

  nextTicket(signal: AbortSignal): Promise<Ticket> {
    const ticket = this.takeTicket();
    if (ticket) return Promise.resolve(ticket);
    return new Promise((resolve, reject) => {
      const take = (given: Ticket) => {
        signal.removeEventListener('abort', leave);
        resolve(given);
      };
      const leave = () => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== take);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(take);
      this.#ask();
    });
  }

  /** Nothing to fetch: what is not in use goes back at once. */
  rest(): void {
    this.#wanted = 0;
    this.#wantedSince = undefined;
    this.#stride = 1;
    this.#ahead = 0;
    this.#isResting = true;
    this.#then = () => {};
    for (const slot of this.#free) this.#drop(slot);
    this.#free = [];
    for (const { batch } of this.#tickets) this.#unsent.push(batch);
    this.#tickets = [];
    if (this.#freed.length + this.#unsent.length > 0) this.#ask();
  }

  takeBack(slots: readonly Slot[], ticket: Ticket | undefined): void {
    if (ticket) this.#returnTicket(ticket);
    for (const slot of slots) {
      slot.holder = undefined;
      const isWanted = !this.#isResting && this.mayHandOn();
      if (isWanted && this.#slots.has(slot) && this.#mono < slot.untilMono) this.#free.push(slot);
      else this.#drop(slot);
    }
    if (this.#freed.length > 0) this.#askSoon();
  }

  #returnTicket(ticket: Ticket): void {
    if (this.mayHandOn() && this.#mono < ticket.untilMono) this.#tickets.push(ticket);
    else this.unsent(ticket);
  }

  unsent({ batch }: Ticket): void {
    this.#unsent.push(batch);
    this.#askSoon();
  }

  arrived({ batch }: Ticket): void {
    this.#sent.push({ batch, mono: this.#mono });
    if (this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      if (this.#sent.length > 0 && !this.#isStopped) this.#ask();
    }, TELL_MS);
  }

  async extend(slot: Slot, forMs: number): Promise<boolean> {
    const { driver } = this.#shared;
    const askedAt = this.#mono;
    const isHeld = await driver.extend(slot.id, forMs + driver.plan.travelMs + LEASE_MARGIN_MS);
    if (isHeld) slot.untilMono = Math.max(slot.untilMono, askedAt + forMs);
    else this.#lose(slot);
    return isHeld;
  }

  /** Something may be free, or the sizes changed. */
  notice(): void {
    this.#dropWhatIsOver();
    if (this.#wanted > 0 || this.#waiting.length > 0) this.#ask();
  }

  /** Another lane or pod waits: what ends here next is given back, and the answer says whether the one after it too. */
  wanted(): void {
    this.#isContended = true;
  }

  /** Called some times a second: names what is held again, and finds what ran out. */
  keep(): void {
    const now = this.#mono;
    let isDue = false;
    for (const slot of [...this.#slots]) {
      if (now >= slot.untilMono) this.#lose(slot);
      else if (now - slot.namedMono >= KEEP_MS) isDue = true;
    }
    this.#dropWhatIsOver();
    if (isDue || this.#unsent.length > 0) this.#ask();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.rest();
    for (let tries = 0; this.#isAsking && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
    clearTimeout(this.#timer);
  }

  #drop(slot: Slot): void {
    this.#slots.delete(slot);
    this.#freed.push(slot.id);
  }

  /** By this pod's clock, or by Redis. Its id is its own: giving back what may be gone takes nothing from anybody. */
  #lose(slot: Slot): void {
    this.#slots.delete(slot);
    if (slot.holder) {
      slot.holder.lose();
      return;
    }
    this.#free = this.#free.filter((free) => free !== slot);
    this.#freed.push(slot.id);
  }

  #dropWhatIsOver(): void {
    const now = this.#mono;
    const isHeld = now < this.#shared.heldUntilMono;
    for (const ticket of this.#tickets) if (isHeld || now >= ticket.untilMono) this.#unsent.push(ticket.batch);
    this.#tickets = isHeld ? [] : this.#tickets.filter((ticket) => now < ticket.untilMono);
    for (const slot of this.#free) if (now >= slot.untilMono) this.#lose(slot);
  }

  /** With what else this turn brings. */
  #askSoon(): void {
    if (this.#isAsking) {
      this.#isAskedAgain = true;
      return;
    }
    if (this.#isSoon) return;
    this.#isSoon = true;
    setImmediate(() => {
      this.#isSoon = false;
      this.#ask();
    });
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake(), Math.max(1, Math.ceil(ms)));
  }

  wake(): void {
    if (this.#isStopped) return;
    if (this.#wanted > 0) this.#then();
    if (this.#waiting.length > 0) this.#ask();
  }

  #ask(): void {
    if (this.#isAsking) {
      this.#isAskedAgain = true;
      return;
    }
    this.#isAsking = true;
    clearTimeout(this.#timer);
    void this.#askOnce().finally(() => {
      this.#isAsking = false;
      if (!this.#isAskedAgain) return;
      this.#isAskedAgain = false;
      this.#ask();
    });
  }

  async #askOnce(): Promise<void> {
    const { driver, events, upstream } = this.#shared;
    const askedAt = this.#mono;
    const heldMs = this.#shared.heldUntilMono - askedAt;
    // Whoever waited when the hold came is called by nobody when it ends.
    if (heldMs > 0 && (this.#wanted > 0 || this.#waiting.length > 0)) this.#wakeIn(heldMs);
    const named = [...this.#slots].filter((slot) => askedAt - slot.namedMono >= KEEP_MS / 2);
    const ask = this.#compose(askedAt, named);
    if (!ask) return;
    let granted: Granted;
    try {
      granted = await driver.ask(ask);
    } catch (error) {
      events.emit('redis.failing', { what: `ask for permits of ${upstream}`, reason: toError(error).message });
      // What was given back may or may not be known: slots run out, tickets count as sent.
      this.#wakeIn(FAILED_PAUSE_MS);
      return;
    }
    this.#note(granted, askedAt, named);
  }

  #compose(askedAt: number, named: readonly Slot[]): Ask | undefined {
    const { needs } = this.#shared.driver;
    const unit = this.#lane.requests;
    const isOpen = !this.#isStopped && askedAt >= this.#shared.heldUntilMono;
    const count = isOpen ? Math.min(this.#wanted, this.#stride) : 0;
    const slots = needs.slots ? Math.max(0, count * unit - this.#free.length) : 0;
    const waiting = isOpen ? this.#waiting.length : 0;
    const tickets = needs.tickets ? Math.max(0, count + waiting + this.#ahead - this.#tickets.length) : 0;
    const [freed, unsent, sent] = [this.#freed, this.#unsent, this.#sent];
    if (slots + tickets + freed.length + unsent.length + sent.length + named.length === 0) return undefined;
    this.#freed = [];
    this.#unsent = [];
    this.#sent = [];
    this.#ahead = 0;
    const isWired = (slot: Slot) => slot.holder?.isOnWire ?? false;
    return {
      lane: this.name,
      weight: this.#lane.weight,
      unit,
      slots,
      tickets,
      freed,
      unsent: countBatches(unsent),
      sent: sent.map(({ batch, mono }) => ({ batch, count: 1, arrivedMsAgo: askedAt - mono })),
      kept: named.filter((slot) => !isWired(slot)).map(({ id }) => id),
      wired: named.filter(isWired).map(({ id }) => id),
    };
  }

  #note(granted: Granted, askedAt: number, named: readonly Slot[]): void {
    const untilMono = askedAt + SLOT_MS - LEASE_MARGIN_MS;
    for (const slot of named) {
      if (granted.lost.includes(slot.id)) this.#lose(slot);
      else slot.untilMono = Math.max(slot.holder?.isOnWire ? slot.untilMono : 0, untilMono);
      slot.namedMono = askedAt;
    }
    for (const id of granted.slots) {
      const slot: Slot = { id, untilMono, namedMono: askedAt, holder: undefined };
      this.#slots.add(slot);
      this.#free.push(slot);
    }
    const { tickets } = granted;
    const ticketUntil = tickets ? askedAt + tickets.forMs - 2 : 0; // what is written last is on its way 2 ms later
    for (let n = 0; tickets && n < tickets.count; n++)
      this.#tickets.push({ batch: tickets.batch, untilMono: ticketUntil });
    this.#isContended = granted.isContended;
    const hasNew = granted.slots.length > 0 || tickets !== undefined;
    if (hasNew && granted.againInMs === undefined) this.#stride = Math.min(this.#stride * 2, MAX_STRIDE);
    if (granted.againInMs !== undefined) {
      this.#stride = Math.max(1, Math.floor(this.#stride / 2));
      this.#wakeIn(granted.againInMs);
    }
    while (this.#waiting.length > 0 && this.#tickets.length > 0)
      this.#waiting.shift()?.(this.#tickets.shift() as Ticket);
    if (this.#isStopped || (this.#isResting && this.#waiting.length === 0)) {
      if (this.#free.length > 0 || this.#tickets.length > 0) this.rest();
    } else if (hasNew) this.#then();
  }
}

function countBatches(batches: readonly number[]): { batch: number; count: number }[] {
  const counts = new Map<number, number>();
  for (const batch of batches) counts.set(batch, (counts.get(batch) ?? 0) + 1);
  return [...counts].map(([batch, count]) => ({ batch, count }));
}
