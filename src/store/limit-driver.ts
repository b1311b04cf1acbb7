// What keeps an upstream's limits for one pod. Two are built: our own scripts (limit-scripts) and Bottleneck (limit-bottleneck).
// One suite holds both to the same promises.
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
  /** Slots of one attempt: granted all or none. */
  unit: number;
  /** How many of each it wants now; 0 for a kind that the plan does not have. Slots and tickets are granted in step. */
  slots: number;
  tickets: number;
  /** Tickets that it could use by and by, those it asks for included: it is in line with all of them. */
  demand?: number;
  /** What it held and holds no more. */
  freed: readonly string[];
  /** Tickets that were never sent. */
  unsent: readonly { batch: number; count: number }[];
  /** Tickets that were sent, and how long ago they had surely arrived. */
  sent: readonly { batch: number; count: number; arrivedMsAgo: number }[];
  /** What it goes on holding with nothing on the wire: its lease begins anew. */
  kept: readonly string[];
  /** As above, with a request on the wire: its lease is not shortened. */
  wired: readonly string[];
}

export interface Granted {
  slots: readonly string[];
  /** All of one batch: how many, and for how long they may be sent. */
  tickets: { batch: number; count: number; forMs: number } | undefined;
  /** Held no more, although the ask said so: whoever relies on it must stop. */
  lost: readonly string[];
  /** Asked for more than it got: when to ask again at the latest. */
  againInMs: number | undefined;
  /** Another lane waits for what this one holds: give back rather than hand on. */
  isContended: boolean;
  /** For how long the upstream said that nobody is let through: whoever missed the notice hears it here. */
  heldMs?: number;
}

/**
 * Who waits should ask: one lane, everybody, or nobody for a while. `wanted`: a lane, if it is named, waits for slots that others
 * hold; they should ask before they hand them on.
 */
export type LimitNotice =
  | { kind: 'free'; lane: string }
  | { kind: 'wanted'; lane?: string }
  | { kind: 'changed' }
  | { kind: 'held'; forMs: number }
  /** Somebody ended a hold: what was told of it is void. */
  | { kind: 'released' };

/** Nothing is granted for so long: the state is not known. `isLost`: it was, or may have been, and is not any more. */
export interface LimitsShut {
  forMs: number;
  isLost: boolean;
  reason: string;
}

export interface LimitDriver {
  readonly plan: LimitPlan;
  /** What an attempt must have. Pods' definitions may differ: whatever one of them limits is limited for all. */
  readonly needs: { readonly slots: boolean; readonly tickets: boolean };
  ask(ask: Ask): Promise<Granted>;
  /** A request goes out that may take longer than the slot's lease: the slot is held until then whatever becomes of its pod. */
  extend(slot: string, forMs: number): Promise<boolean>;
  /** Nobody is let through for so long: the upstream said so. Answers whether that is news. */
  hold(forMs: number, reason: string): Promise<boolean>;
  onNotice(listener: (notice: LimitNotice) => void): void;
  stop(): Promise<void>;
}
