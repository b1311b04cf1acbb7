// One lane's permits in this pod: what it asks for before it fetches, what is handed on from job to job, what goes back.

import type { Ask, Granted, LimitDriver } from '../store/limit-driver.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { HeldPermit, type PermitHome, type Slot, type Ticket, waitTooLong } from './held-permit.ts';
import { KEEP_MS, LanePocket, LEASE_MARGIN_MS, tellAfterMs } from './lane-pocket.ts';
import { PermitLine } from './permit-line.ts';

/** Permits asked for at once, beginning with one and doubled while all are used. */
const MAX_STRIDE = 64;
const FAILED_PAUSE_MS = 1_000;
/** A window may be a month, which no timer takes; and sizes change. */
const MAX_WAIT_MS = 60_000;
/** A slot is held for so long more than the request at hand needs, so that those of the next second need no script each. */
const COVER_MS = 1_000;

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
  /** As the upstream told another pod: in this one nobody is let through for so long. */
  shut(forMs: number): void;
}

export class LaneDesk implements PermitHome {
  readonly name: string;
  readonly #shared: Shared;
  readonly #lane: DeskLane;
  readonly #pocket: LanePocket;
  readonly #tellMs: number;
  /** Requests that go beyond their attempt's first, waiting for a ticket. */
  readonly #waiting: PermitLine<Ticket>;
  /** Those of attempts that stepped aside, waiting for slots. */
  readonly #returning: PermitLine<Slot[]>;
  #wanted = 0;
  #wantedSince: number | undefined;
  #then: () => void = () => {};
  #stride = 1;
  #ahead = 0;
  /** Permits with a ticket that may run out in their hands. */
  readonly #lent = new Set<HeldPermit>();
  #answer: Promise<void> | undefined;
  #isContended = false;
  /** In Redis, as far as this pod knows. */
  #isInLine = false;
  /** In line: by then it asks again, unless a notice calls it before. */
  #calledAtMono = 0;
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
    this.#pocket = new LanePocket(shared.clock);
    this.#tellMs = tellAfterMs(shared.driver.plan);
    this.#waiting = new PermitLine(shared.clock);
    this.#returning = new PermitLine(shared.clock);
  }

  get #mono(): number {
    return this.#shared.clock.mono();
  }

  get #lacksSlots(): boolean {
    return this.#shared.driver.needs.slots && this.#pocket.freeSlots < this.#lane.requests;
  }

  /** Of attempts that run. */
  get #queued(): number {
    return this.#waiting.length + this.#returning.length;
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
    this.#wanted = wanted;
    this.#then = then;
    this.#isResting = false;
    this.#dropWhatIsOver();
    const permit = this.takeInHand();
    if (permit) return permit;
    this.#wantedSince ??= this.#mono;
    const heldMs = this.#shared.heldUntilMono - this.#mono;
    if (heldMs > 0) this.#wakeIn(heldMs);
    // In line for tickets it was told when to come, or is called. Slots come back meanwhile, and change what it lacks: with both limits
    // and 10 at once, 0.40 to 0.89 of the allowance were used by who waited, 0.95 by who asks.
    else if (this.#shared.driver.needs.slots || this.#mono >= this.#calledAtMono) this.#ask();
    return undefined;
  }

  /** Asks nobody. */
  takeInHand(): HeldPermit | undefined {
    const { needs } = this.#shared.driver;
    if (this.#mono < this.#shared.heldUntilMono || this.#lacksSlots) return undefined;
    if (needs.tickets && this.#pocket.tickets === 0) return undefined;
    const slots = this.#pocket.takeSlots(needs.slots ? this.#lane.requests : 0);
    const permit = new HeldPermit(this, slots, needs.tickets ? this.#pocket.takeTicket() : undefined);
    for (const slot of slots) slot.holder = permit;
    if (needs.tickets) this.#lent.add(permit);
    this.#wanted--;
    this.#granted();
    return permit;
  }

  /** Resolves when the ask that is under way has its answer. */
  async answered(): Promise<void> {
    await this.#answer;
  }

  #granted(): void {
    const { events, upstream } = this.#shared;
    const waitedMs = this.#wantedSince === undefined ? 0 : this.#mono - this.#wantedSince;
    this.#wantedSince = undefined;
    events.emit('permit.granted', { upstream, lane: this.name, waitedMs });
  }

  takeTicket(): Ticket | undefined {
    this.#dropWhatIsOver();
    return this.#pocket.takeTicket();
  }

  wantAhead(): void {
    if (this.#pocket.tickets > this.#ahead) return;
    this.#ahead++;
    this.#askSoon();
  }

  get needsTickets(): boolean {
    return this.#shared.driver.needs.tickets;
  }

  mayHandOn(): boolean {
    const isWanted = this.#isContended || this.#returning.length > 0;
    return !isWanted && !this.#isStopped && this.#mono >= this.#shared.heldUntilMono;
  }

  nextTicket(forMs: number, signal: AbortSignal): Promise<Ticket> {
    signal.throwIfAborted();
    const ticket = this.takeTicket();
    if (ticket) return Promise.resolve(ticket);
    const next = this.#waiting.join(forMs, signal);
    this.#ask();
    return next;
  }

  nextSlots(forMs: number, signal: AbortSignal): Promise<Slot[]> {
    signal.throwIfAborted();
    const next = this.#returning.join(forMs, signal);
    this.#ask();
    return next;
  }

  /** Nothing to fetch: what is not in use goes back at once. */
  rest(): void {
    this.#wanted = 0;
    this.#wantedSince = undefined;
    this.#stride = 1;
    this.#ahead = 0;
    this.#isResting = true;
    this.#then = () => {};
    this.#pocket.empty();
    if (this.#pocket.hasReturns || this.#isInLine) this.#ask();
  }

  takeBack(permit: HeldPermit, slots: readonly Slot[], ticket: Ticket | undefined): void {
    const mayHandOn = this.mayHandOn();
    this.#lent.delete(permit);
    if (ticket && !(mayHandOn && this.#pocket.keepTicket(ticket))) this.#pocket.unsent(ticket);
    for (const slot of slots) {
      slot.holder = undefined;
      if (!(mayHandOn && !this.#isResting && this.#pocket.keepSlot(slot))) this.#pocket.drop(slot);
    }
    if (this.#pocket.hasReturns) this.#askSoon();
  }

  /** All of it goes back: whoever is next by its share has it, this lane too. */
  stepAside(permit: HeldPermit, slots: readonly Slot[], ticket: Ticket | undefined): void {
    this.#lent.delete(permit);
    if (ticket) this.#pocket.unsent(ticket);
    for (const slot of slots) {
      slot.holder = undefined;
      this.#pocket.drop(slot);
    }
    this.#askSoon();
  }

  unsent(ticket: Ticket): void {
    this.#pocket.unsent(ticket);
    this.#askSoon();
  }

  arrived(ticket: Ticket): void {
    this.#pocket.arrived(ticket);
    if (this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      if (this.#pocket.hasArrivals && !this.#isStopped) this.#ask();
    }, this.#tellMs);
  }

  async extend(slot: Slot, forMs: number): Promise<boolean> {
    const { driver } = this.#shared;
    const askedAt = this.#mono;
    const coverMs = forMs + COVER_MS;
    const isHeld = await driver.extend(slot.id, coverMs + driver.plan.travelMs + LEASE_MARGIN_MS);
    if (isHeld) slot.untilMono = Math.max(slot.untilMono, askedAt + coverMs);
    else this.#pocket.lose(slot);
    return isHeld;
  }

  /** Something may be free, or the sizes changed. */
  notice(): void {
    this.#dropWhatIsOver();
    if (this.#wanted + this.#queued > 0) this.#ask();
  }

  /** Another lane or pod waits: what ends here next is given back, and the answer says whether the one after it too. */
  wanted(): void {
    this.#isContended = true;
  }

  /** Called some times a second: names what is held again, and finds what ran out. */
  keep(): void {
    // A handler that computes before it sends would keep it counting until then.
    for (const permit of this.#lent) permit.dropLateTicket();
    this.#dropWhatIsOver();
    if (this.#pocket.hasReturns || this.#pocket.unnamed(KEEP_MS).length > 0) this.#ask();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.rest();
    // What was on the wire has been cut: its slots come back when word of that has travelled, and the event loop has had its time.
    // Left behind, they would be held until its timeout.
    const cutUntilMono = this.#mono + this.travelMs + 100;
    const isBusy = () => this.#isAsking || this.#isSoon || (this.#pocket.hasSlots && this.#mono < cutUntilMono);
    for (let tries = 0; isBusy() && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
    clearTimeout(this.#timer);
  }

  #dropWhatIsOver(): void {
    if (this.#mono < this.#shared.heldUntilMono) this.#pocket.dropTickets();
    this.#pocket.dropWhatIsOver();
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
    this.#timer = setTimeout(() => this.wake(), Math.max(1, Math.min(Math.ceil(ms), MAX_WAIT_MS)));
  }

  wake(): void {
    if (this.#isStopped) return;
    this.#calledAtMono = 0;
    if (this.#wanted > 0) this.#then();
    if (this.#queued > 0) this.#ask();
  }

  #ask(): void {
    if (this.#isAsking) {
      this.#isAskedAgain = true;
      return;
    }
    this.#isAsking = true;
    clearTimeout(this.#timer);
    this.#answer = this.#askOnce().finally(() => {
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
    if (heldMs > 0 && this.#wanted + this.#queued > 0) this.#wakeIn(heldMs);
    const named = this.#pocket.unnamed(KEEP_MS / 2);
    const ask = this.#compose(askedAt, named);
    if (!ask) return;
    let granted: Granted;
    try {
      granted = await driver.ask(ask);
    } catch (error) {
      events.emit('redis.failing', { what: `ask for permits of ${upstream}`, reason: toError(error).message });
      this.#pocket.unsaid(ask);
      this.#wakeIn(FAILED_PAUSE_MS);
      return;
    }
    this.#isInLine = granted.againInMs !== undefined || (ask.demand ?? 0) > ask.tickets;
    this.#note(granted, this.#pocket.add(granted, askedAt, named));
  }

  /** Undefined: there is nothing to ask for and nothing to say. */
  #compose(askedAt: number, named: readonly Slot[]): Ask | undefined {
    const { needs } = this.#shared.driver;
    const unit = this.#lane.requests;
    const isOpen = !this.#isStopped && askedAt >= this.#shared.heldUntilMono;
    const count = isOpen ? Math.min(this.#wanted, this.#stride) : 0;
    const more = isOpen ? this.#waiting.length + this.#ahead : 0;
    const returning = isOpen ? this.#returning.length : 0;
    const slots = needs.slots ? Math.max(0, (count + returning) * unit - this.#pocket.freeSlots) : 0;
    const tickets = needs.tickets ? Math.max(0, count + more - this.#pocket.tickets) : 0;
    this.#ahead = 0;
    const isSilent = !this.#pocket.hasReturns && !this.#pocket.hasArrivals;
    // One that rests leaves the line: called, it would not come, and what was kept for it would lie idle.
    const leavesLine = this.#isInLine && this.#wanted + more + returning === 0;
    if (slots + tickets + named.length === 0 && isSilent && !leavesLine) return undefined;
    // Few are taken at a time, to be sent at once; in line it stands with all that it could use.
    const demand =
      tickets > 0 ? Math.max(tickets, Math.min(this.#wanted, MAX_STRIDE) + more - this.#pocket.tickets) : 0;
    const said = this.#pocket.say(askedAt, named);
    return { lane: this.name, weight: this.#lane.weight, unit, slots, tickets, demand, ...said };
  }

  #note({ againInMs, isContended, heldMs = 0 }: Granted, hasNew: boolean): void {
    this.#isContended = isContended;
    if (againInMs) this.#waiting.refuseLate(againInMs, () => this.#tooLong(againInMs));
    this.#calledAtMono = againInMs === undefined ? 0 : this.#mono + againInMs;
    if (againInMs !== undefined) this.#wakeIn(againInMs);
    // Who has to wait takes less at a time: what is free at one instant would else be sent, and be free again, at one instant.
    if (againInMs !== undefined) this.#stride = Math.max(1, Math.floor(this.#stride / 2));
    else if (hasNew) this.#stride = Math.min(this.#stride * 2, MAX_STRIDE);
    if (heldMs > 0) this.#shared.shut(heldMs);
    while (this.#waiting.length > 0 && this.#pocket.tickets > 0) {
      this.#waiting.serve(this.#pocket.takeTicket() as Ticket);
    }
    while (this.#returning.length > 0 && this.#pocket.freeSlots >= this.#lane.requests) {
      this.#returning.serve(this.#pocket.takeSlots(this.#lane.requests));
    }
    if (this.#isStopped || (this.#isResting && this.#queued === 0)) {
      if (this.#pocket.freeSlots + this.#pocket.tickets > 0) this.rest();
    } else if (hasNew) this.#then();
  }

  #tooLong(forMs: number): Error {
    return waitTooLong(this.upstream, forMs, this.clock.now());
  }
}
