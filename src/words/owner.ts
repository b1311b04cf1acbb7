// Who may feed an exclusive lane, as every part says it: the owner, its lease, and the group of lanes that one lease is for.

import type { GroupAddress } from './keys.ts';

/** Both together: `manual` of one person is another owner than `manual` of the next. */
export interface Owner {
  /** cron, manual, a service's name. */
  readonly as: string;
  /** user@host, or an API key's id. */
  readonly by: string;
}

export type Displaced = 'park' | 'drain';

/** The lanes that have one owner together, as whoever asks knows them. */
export interface OwnerGroup {
  readonly address: GroupAddress;
  /** The one that was named. */
  readonly lane: string;
  /** All of them, with what becomes of a displaced owner's jobs in each. */
  readonly lanes: Readonly<Record<string, Displaced>>;
}

/** Instants are epoch ms by Redis. */
export interface OwnerLease extends Owner {
  /** Microseconds of Redis's clock at the most: exact as a number until the year 2255. */
  readonly token: number;
  readonly reason: string;
  readonly sinceAt: number;
  /** Of one that was released: when that was. */
  readonly untilAt: number;
  readonly isLive: boolean;
  /** Who renews it; '' for a term that ends by itself. */
  readonly hold: string;
}

/** How long a holder that died still owns: its lease, renewed so often, and given up by its own clock so long before it runs out. */
export const LEASE_MS = 8_000;
export const RENEW_MS = 2_000;
/** Counted from before the last renewal was asked for. */
export const SURE_MS = 6_000;
/** The longest term that a person may take. */
export const MAX_TERM_MS = 24 * 3_600_000;

/** 'manual of ann@desk'. */
export function sayOwner({ as, by }: Owner): string {
  return `${as} of ${by}`;
}
