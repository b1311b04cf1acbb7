// What keeps an upstream's limits for one pod. Two of them are built: our own scripts (limit-scripts) and Bottleneck
// (limit-bottleneck). One suite holds both to the same promises.
//
// A slot is a piece of `concurrent`: held for as long as an attempt runs, and handed on to the next. A ticket is a piece of each
// `count`: it lets one request be sent, until an instant. All times that cross this interface are durations: instants are
// Redis's, and whoever holds a permit counts from before it asked, by its own monotonic clock.

import type { LimitPlan } from '../words/limit.ts';

/** How long a slot is held without a word from its pod. */
export const SLOT_MS = 15_000;

export interface Ask {
  lane: string;
  weight: number;
  /** How many of each it wants now; 0 for a kind that the plan does not have. Slots and tickets are granted in step. */
  slots: number;
  tickets: number;
  /** What it held and holds no more. */
  freed: readonly string[];
  /** Tickets that were never sent. */
  unsent: readonly TicketUse[];
  /** Tickets that were sent, and the latest instant at which they arrived: ago, in ms. */
  sent: readonly TicketUse[];
  /** What it goes on holding; its leases begin anew. */
  kept: readonly string[];
}

export interface TicketUse {
  /** As it was granted. */
  batch: number;
  count: number;
  /** Since when it has surely arrived. */
  arrivedMsAgo?: number;
}

export interface Granted {
  slots: readonly string[];
  /** All of one batch: how many, and for how long they may be sent. */
  tickets: { batch: number; count: number; forMs: number } | undefined;
  /** Held no more, although the ask said so: whoever relies on it must stop. */
  lost: readonly string[];
  /** Asked for more than it got: when to ask again at the latest. */
  againInMs: number | undefined;
  /** Another lane waits for slots that this one holds beyond its share: give back rather than hand on. */
  isContended: boolean;
}

/** Something changed that those who wait should ask about; with a lane, for that one. */
export type LimitNotice = { kind: 'free'; lane: string } | { kind: 'wanted' } | { kind: 'held'; forMs: number };

export interface LimitDriver {
  readonly plan: LimitPlan;
  ask(ask: Ask): Promise<Granted>;
  /** A request goes out that may take longer than the slot's lease: the slot is held until then whatever becomes of its pod. */
  extend(slot: string, forMs: number): Promise<boolean>;
  /** Nobody is let through for so long: the upstream said so. */
  hold(forMs: number, reason: string): Promise<void>;
  /** Calls back on every notice. */
  onNotice(listener: (notice: LimitNotice) => void): void;
  stop(): Promise<void>;
}
