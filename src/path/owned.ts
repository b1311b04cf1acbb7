// Who feeds an exclusive lane: how whoever adds says so, how a job says by whom it was fed, and what is said to those who may not.

import type { Feeding } from '../store/add-jobs.ts';
import { toInstant } from '../words/clock.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import { type Owner, type OwnerLease, sayOwner } from '../words/owner.ts';
import { NAME_FORM } from './definition.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';

export const AS_FORM = NAME_FORM.replace('publish', 'manual');

/** Who adds; with a `token` only while that very grant holds. */
export interface Feeder extends Owner {
  readonly token?: number | undefined;
}

/** What the add of a job is checked by; undefined where everybody may add. Nobody is called '': that is never the owner. */
export function toFeeding(lane: Lane, keys: Keys, feeder: Feeder | undefined): Feeding | undefined {
  if (lane.ownership !== 'exclusive') return undefined;
  const { as = '', by = '', token } = feeder ?? {};
  return { lease: keys.owner(groupAddress(lane)), as, by, token };
}

/** Who fed a job, as its field says; undefined for a plain producer's. */
export function readFeeder(json: string | null): { token: number; as: string; by: string } | undefined {
  if (json === null) return undefined;
  try {
    const { token, as, by } = JSON.parse(json) as { token: string; as: string; by: string };
    const isWhole = Number.isSafeInteger(Number(token)) && typeof as === 'string' && typeof by === 'string';
    return isWhole ? { token: Number(token), as, by } : undefined;
  } catch {
    return undefined;
  }
}

export function sayTake(lane: string): string {
  return `lanekeeper take ${lane} --as manual --reason ...`;
}

/** `holder` is who had the lane last, whether it still has it or not. */
export function notItsOwner(lane: string, asked: { as: string; by: string }, holder: OwnerLease | undefined) {
  const asker = asked.as === '' ? 'nobody said as whom (`as`, or --as)' : `you add as ${sayOwner(asked)}`;
  const text = holder?.isLive
    ? `lane ${quote(lane)} is owned by ${sayTerm(holder)}, and ${asker}: nothing was added`
    : `nobody owns lane ${quote(lane)} now${holder ? ` (the last was ${sayTerm(holder)})` : ''}: nothing was added; take it first, with ` +
      `'${sayTake(lane)}', or in a service with producer.take`;
  return new LanekeeperError('LK_OWNED', text);
}

/** 'manual of ann@desk since …, until …, for: backfill'. */
export function sayTerm(holder: Omit<OwnerLease, 'token' | 'isLive' | 'hold'>): string {
  const { sinceAt, untilAt, reason } = holder;
  return `${sayOwner(holder)} since ${toInstant(sinceAt)}, until ${toInstant(untilAt)}, for: ${reason}`;
}
