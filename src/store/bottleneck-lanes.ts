// Whose turn it is: a pod's lanes, what each wants and holds of one upstream's limits, and what lies ready for whom. Bottleneck
// knows pods, not lanes. Slots go to the lane that holds least for its weight, tickets in turn, by weight.

import type { Piece } from './bottleneck-limiter.ts';

/** What lies ready and is not fetched for so long was wanted by somebody who is gone. */
const FETCH_MS = 250;
/** From here on a share is rounded up: of 12 or 13 slots each, none need move. */
const LARGE_SHARE = 10;

export interface Held {
  piece: Piece;
  sinceMono: number;
}

export interface Lane {
  readonly name: string;
  weight: number;
  /** Wanted, and not yet had. */
  slots: number;
  tickets: number;
  /** By the slot, the one held longest first. */
  readonly held: Map<string, Held>;
  /** Tickets it had, by its weight; a lane that comes back starts where the others are. */
  had: number;
}

export interface Ticket {
  readonly untilMono: number;
}

interface Ready<T> {
  what: T;
  lane: Lane | undefined;
}

/** What a lane waits for. */
export interface Want {
  lane: string;
  slots: number;
  tickets: number;
  weight: number;
}

export interface Taken {
  slots: Piece[];
  tickets: Ticket[];
}

export class BottleneckLanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #slots: Ready<Piece>[] = [];
  readonly #tickets: Ready<Ticket>[] = [];
  /** Since when a lane has been told that something lies ready for it. */
  readonly #toldMono = new Map<Lane, number>();

  want(name: string, weight: number, slots: number, tickets: number): Lane {
    const lane = this.#lanes.get(name) ?? { name, weight, slots: 0, tickets: 0, held: new Map(), had: 0 };
    if (lane.tickets === 0 && tickets > 0) lane.had = Math.max(lane.had, this.#leastHad(lane));
    this.#lanes.set(name, Object.assign(lane, { weight, slots, tickets }));
    return lane;
  }

  get heldCount(): number {
    let count = this.#slots.length;
    for (const { held } of this.#lanes.values()) count += held.size;
    return count;
  }

  get readySlots(): string[] {
    return this.#slots.map(({ what }) => what.id);
  }

  get heldSlots(): string[] {
    return [...this.#lanes.values()].flatMap(({ held }) => [...held.keys()]);
  }

  get wants(): Want[] {
    return [...this.#lanes.values()]
      .filter(({ slots, tickets }) => slots + tickets > 0)
      .map(({ name, slots, tickets, weight }) => ({ lane: name, slots, tickets, weight }));
  }

  /** Slots that are wanted beyond those that lie ready. */
  get slotsShort(): number {
    let wanted = 0;
    for (const { slots } of this.#lanes.values()) wanted += slots;
    return Math.max(0, wanted - this.#slots.length);
  }

  /** Tickets that could be used now, beyond those that lie ready: one whose slot is not there yet would run out. */
  get ticketsShort(): number {
    let usable = 0;
    for (const lane of this.#lanes.values()) usable += this.#usableTickets(lane);
    return Math.max(0, usable - this.#tickets.length);
  }

  doesAnotherWant(lane: Lane): boolean {
    return [...this.#lanes.values()].some((other) => other !== lane && other.slots > 0);
  }

  /** Whether the lane holds more than its part of what the pod may hold. */
  isOverShare(lane: Lane, podShare: number): boolean {
    let weights = 0;
    for (const { held, slots, weight } of this.#lanes.values()) if (held.size > 0 || slots > 0) weights += weight;
    const share = (podShare * lane.weight) / Math.max(weights, lane.weight);
    return lane.held.size > (share >= LARGE_SHARE ? Math.ceil(share) : share);
  }

  addSlot(piece: Piece): void {
    this.#slots.push({ what: piece, lane: undefined });
  }

  addTicket(ticket: Ticket): void {
    this.#tickets.push({ what: ticket, lane: undefined });
  }

  /** Sets aside what lies ready for those whose turn it is, and answers who has now something to fetch and is to be told. */
  assign(nowMono: number): Lane[] {
    for (const [lane, since] of this.#toldMono) if (nowMono - since > FETCH_MS) this.#forget(lane);
    for (let at = this.#tickets.length - 1; at >= 0; at--) {
      if ((this.#tickets[at] as Ready<Ticket>).what.untilMono - nowMono < 1) this.#tickets.splice(at, 1);
    }
    for (const ready of [...this.#slots, ...this.#tickets]) ready.lane = undefined;
    // Those that were told keep what they were told of.
    for (const lane of this.#toldMono.keys()) this.#setAside(lane);
    for (const ready of this.#slots)
      ready.lane ??= this.#next((lane) => this.#wantsSlot(lane), heldByWeight(this.#slots));
    for (const ready of this.#tickets) ready.lane ??= this.#next((lane) => this.#wantsTicket(lane), hadByWeight);
    const told: Lane[] = [];
    for (const lane of this.#lanes.values()) {
      const { slots, tickets } = this.#takeable(lane);
      if (slots + tickets === 0) this.#toldMono.delete(lane);
      else if (!this.#toldMono.has(lane)) {
        this.#toldMono.set(lane, nowMono);
        told.push(lane);
      }
    }
    return told;
  }

  /** What lies ready for the lane; it is no longer wanted then. */
  take(lane: Lane): Taken {
    const { slots, tickets } = this.#takeable(lane);
    this.#toldMono.delete(lane);
    lane.slots -= slots;
    lane.tickets -= tickets;
    lane.had += tickets / lane.weight;
    return { slots: pull(this.#slots, lane, slots), tickets: pull(this.#tickets, lane, tickets) };
  }

  /** Slots that lie ready for nobody. */
  takeUnwanted(): Piece[] {
    return pull(this.#slots, undefined, this.#slots.length);
  }

  /** All that lies ready; tickets are burnt with it. */
  takeAll(): Piece[] {
    this.#tickets.length = 0;
    this.#toldMono.clear();
    return this.#slots.splice(0).map(({ what }) => what);
  }

  /** Slots that Redis holds no more: answers the lanes that hold them. */
  lose(lost: ReadonlySet<string>): Lane[] {
    for (let at = this.#slots.length - 1; at >= 0; at--) {
      const { what } = this.#slots[at] as Ready<Piece>;
      if (lost.has(what.id)) this.#slots.splice(at, 1)[0]?.what.giveBack();
    }
    return [...this.#lanes.values()].filter(({ held }) => [...held.keys()].some((slot) => lost.has(slot)));
  }

  #leastHad(but: Lane): number {
    const others = [...this.#lanes.values()].filter((lane) => lane !== but && lane.tickets > 0);
    return others.length === 0 ? 0 : Math.min(...others.map(({ had }) => had));
  }

  #usableTickets(lane: Lane): number {
    const beyond = Math.max(0, lane.tickets - lane.slots);
    return Math.min(lane.tickets, beyond + count(this.#slots, lane));
  }

  #wantsSlot(lane: Lane): boolean {
    return lane.slots > count(this.#slots, lane);
  }

  #wantsTicket(lane: Lane): boolean {
    return this.#usableTickets(lane) > count(this.#tickets, lane);
  }

  /** In step: beyond those that want only one kind, as many slots as tickets. */
  #takeable(lane: Lane): { slots: number; tickets: number } {
    const slotsReady = count(this.#slots, lane);
    const ticketsReady = count(this.#tickets, lane);
    const both = Math.min(lane.slots, lane.tickets);
    const slotsAlone = Math.min(slotsReady, lane.slots - both);
    const ticketsAlone = Math.min(ticketsReady, lane.tickets - both);
    const pairs = Math.min(both, slotsReady - slotsAlone, ticketsReady - ticketsAlone);
    return { slots: slotsAlone + pairs, tickets: ticketsAlone + pairs };
  }

  #setAside(lane: Lane): void {
    for (const ready of this.#slots) if (ready.lane === undefined && this.#wantsSlot(lane)) ready.lane = lane;
    for (const ready of this.#tickets) if (ready.lane === undefined && this.#wantsTicket(lane)) ready.lane = lane;
  }

  #next(wants: (lane: Lane) => boolean, measure: (lane: Lane) => number): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes.values()) {
      if (wants(lane) && (best === undefined || measure(lane) < measure(best))) best = lane;
    }
    return best;
  }

  #forget(lane: Lane): void {
    lane.slots = 0;
    lane.tickets = 0;
    this.#toldMono.delete(lane);
  }
}

const hadByWeight = ({ had, weight }: Lane) => had + 1 / weight;
const heldByWeight = (slots: Ready<Piece>[]) => (lane: Lane) => (lane.held.size + count(slots, lane)) / lane.weight;

function count<T>(ready: Ready<T>[], lane: Lane): number {
  let found = 0;
  for (const one of ready) if (one.lane === lane) found++;
  return found;
}

function pull<T>(ready: Ready<T>[], lane: Lane | undefined, most: number): T[] {
  const taken: T[] = [];
  for (let at = 0; at < ready.length && taken.length < most; ) {
    const one = ready[at] as Ready<T>;
    if (one.lane !== lane) at++;
    else {
      taken.push(one.what);
      ready.splice(at, 1);
    }
  }
  return taken;
}
