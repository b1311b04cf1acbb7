// How the scripts about a lease answer what it says, read in one place.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { OwnerLease } from '../../words/owner.ts';
import { WRITE_ENTRY_FILE } from '../journal-stream.ts';

const FILE = new URL('./lease.lua', import.meta.url);
export const LEASE_PRELUDES = [WRITE_ENTRY_FILE, FILE];
/** For what is put together of several texts. */
export const LEASE = readFileSync(fileURLToPath(FILE), 'utf8');

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
