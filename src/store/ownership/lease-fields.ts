// How the scripts about a lease answer what it says, read in one place.

import type { OwnerLease } from '../../words/owner.ts';

export const LEASE_PRELUDE = new URL('./lease.lua', import.meta.url);

/** Undefined: nobody ever owned. */
export function readLease(raw: unknown): (OwnerLease & { nowAt: number }) | undefined {
  const [token, as, by, reason, since, until, live, hold, now] = raw as string[];
  if (token === undefined) return undefined;
  return {
    token: Number(token),
    as: as ?? '',
    by: by ?? '',
    reason: reason ?? '',
    sinceAt: Number(since),
    untilAt: Number(until),
    isLive: Number(live) === 1,
    hold: hold ?? '',
    nowAt: Number(now),
  };
}

export type SeenLease = NonNullable<ReturnType<typeof readLease>>;
