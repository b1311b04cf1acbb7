// Orders about who feeds an exclusive lane: take it, give it back, look who has it. Whatever is wrong is said in one line, and then
// nothing is changed; what is carried out the scripts write into the journal themselves.

import type { SeenLease } from '../store/ownership/lease-fields.ts';
import type { LockServersSeen, OwnerLocks, OwnerSeen, TakeAsk, TakeReply } from '../store/ownership/owner-locks.ts';
import { toInstant } from '../words/clock.ts';
import { formatDuration, toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import { LEASE_MS, MAX_TERM_MS, type Owner, type OwnerGroup, type OwnerLease, sayOwner } from '../words/owner.ts';
import { toName } from './definition.ts';
import { groupOf } from './group.ts';
import type { Lane } from './lane.ts';
import { AS_FORM, sayTake, sayTerm } from './owned.ts';
import { toReason } from './reason.ts';

export interface OwnerOrders {
  locks: OwnerLocks;
  lane: Lane;
  /** Those that are defined beside it: the ones in its group are taken with it. */
  lanes: Iterable<Lane>;
}

export interface TakeOrder {
  as: unknown;
  by: string;
  reason: unknown;
  /** How long; a term of a person ends by itself. */
  for: unknown;
  isForced?: boolean;
}

/** Whose turn it is or was. */
type OwnerTerm = Omit<OwnerLease, 'isLive' | 'hold'>;

export interface OwnerTaken extends OwnerTerm {
  lane: string;
  /** All that are taken together. */
  lanes: string[];
  /** It was theirs before, and has a new term. */
  isSame: boolean;
  displaced: OwnerTerm | null;
  /** Attempts of the one before that were stopped. */
  stopped: number;
}

export interface OwnerLooked {
  lane: string;
  lanes: string[];
  /** Null: nobody may feed it now. */
  owner: (OwnerTerm & { renews: boolean }) | null;
  /** Who had it last, while nobody has it. */
  last: OwnerTerm | null;
  seenAt: number | null;
  /** Of the lock servers, where they decide: null where this Redis does. */
  servers: LockServersSeen | null;
  /** What it means that no majority of them answers; null while one does. */
  undecided: string | null;
}

const LEAST_TERM_MS = 1_000;
const TERM_FORM = "a duration from '1s' to '24h', such as '30m'";

export async function takeLane({ locks, lane, lanes }: OwnerOrders, order: TakeOrder): Promise<OwnerTaken> {
  const asked = { as: toAs(order.as), by: toBy(order.by), reason: toReason(order.reason), termMs: toTermMs(order.for) };
  const group = groupOf(expectExclusive(lane), lanes);
  const ask: TakeAsk = { ...asked, hold: '', isForced: order.isForced ?? false, floor: 0 };
  const reply = expectGranted(lane, await locks.take(group, ask));
  const { lease, lanes: taken, displaced, isSame, stopped } = reply;
  return {
    lane: lane.name,
    lanes: taken,
    ...tellOwner(lease),
    isSame,
    displaced: displaced ? tellOwner(displaced) : null,
    stopped,
  };
}

export async function releaseLane(
  { locks, lane, lanes }: OwnerOrders,
  order: { as: unknown; by: string; token?: number; reason?: unknown },
): Promise<OwnerTaken> {
  const owner = { as: toAs(order.as), by: toBy(order.by) };
  const why = order.reason === undefined ? 'given back' : toReason(order.reason);
  const group = groupOf(expectExclusive(lane), lanes);
  const token = order.token === undefined ? {} : { token: order.token };
  const reply = await locks.release(group, { ...owner, ...token, why });
  const { lease } = reply;
  if (reply.kind === 'released' && lease) {
    return { lane: lane.name, lanes: reply.lanes, ...tellOwner(lease), isSame: true, displaced: null, stopped: 0 };
  }
  throw notYours(lane, owner, reply.kind, lease);
}

export async function lookAtOwner({ locks, lane, lanes }: OwnerOrders): Promise<OwnerLooked> {
  const group = groupOf(expectExclusive(lane), lanes);
  return toLooked(group, await locks.look(group));
}

function toLooked(group: OwnerGroup, { lease, lanes, servers }: OwnerSeen): OwnerLooked {
  const told = lease ? tellOwner(lease) : null;
  return {
    lane: group.lane,
    lanes,
    owner: lease?.isLive && told ? { ...told, renews: lease.hold !== '' } : null,
    last: lease && !lease.isLive ? told : null,
    seenAt: lease?.nowAt ?? null,
    servers: servers ?? null,
    undecided: servers && servers.answering < servers.majority ? sayUndecided(servers, lease) : null,
  };
}

/** Adds are checked against the record, so what it says holds; but nobody can change it. */
function sayUndecided({ answering, count, majority }: LockServersSeen, lease: SeenLease | undefined): string {
  const feeds = !lease?.isLive
    ? 'nobody can take the lane'
    : lease.hold === ''
      ? 'its owner feeds it until the term ends, and nobody can take it or give it back'
      : `its holder cannot renew it and stops within ${formatDuration(LEASE_MS)}, and then nobody can take it`;
  const answers = `${answering} of ${count} lock servers answer${answering === 1 ? 's' : ''}, expected ${majority}`;
  return `${answers}: this is what Redis recorded last; ${feeds} before a majority answers`;
}

function tellOwner({ as, by, reason, token, sinceAt, untilAt }: SeenLease): OwnerTerm {
  return { as, by, reason, token, sinceAt, untilAt };
}

/** The lease that was granted, or LK_OWNED that says who has it. */
export function expectGranted(lane: Lane, reply: TakeReply): Extract<TakeReply, { kind: 'granted' }> {
  if (reply.kind === 'granted') return reply;
  throw new LanekeeperError(
    'LK_OWNED',
    `lane ${quote(lane.name)} is owned by ${sayTerm(reply.lease)}; wait for that, or take it by force, with '${sayTake(lane.name)} --force'`,
  );
}

function notYours(lane: Lane, owner: Owner, kind: string, lease: SeenLease | undefined): LanekeeperError {
  const name = `lane ${quote(lane.name)}`;
  if (kind === 'stale') {
    const text = `${name}: ${sayOwner(owner)} has it under another token than was given: it was taken anew; nothing was given back`;
    return new LanekeeperError('LK_OWNED', text);
  }
  if (kind === 'owned' && lease) {
    return new LanekeeperError(
      'LK_OWNED',
      `${name} is owned by ${sayTerm(lease)}, not by ${sayOwner(owner)}: only its owner gives it back, and '${sayTake(lane.name)} --force' takes it from them`,
    );
  }
  const last = lease ? `; the last was ${sayOwner(lease)}, until ${toInstant(lease.untilAt)}` : '';
  return new LanekeeperError(
    'LK_OWNED',
    `${name} is owned by nobody, so ${sayOwner(owner)} has nothing to give back${last}`,
  );
}

export function expectExclusive(lane: Lane): Lane {
  if (lane.ownership === 'exclusive') return lane;
  const text = `lane ${quote(lane.name)}: expected an exclusive lane, got an open one, which anybody feeds; to have owners, define it with ownership: 'exclusive'`;
  throw new LanekeeperError('LK_INPUT', text);
}

export function toAs(value: unknown): string {
  const name = toName(value);
  if (name !== undefined) return name;
  throw wrongOption('LK_INPUT', 'as', AS_FORM, value);
}

function toBy(value: unknown): string {
  if (typeof value === 'string' && /^[^\p{Cc}]{1,200}$/u.test(value)) return value;
  throw wrongOption('LK_INPUT', 'by', 'who it is, in 1 to 200 characters on one line', value);
}

export function toTermMs(value: unknown): number {
  const ms = toDurationMs(value);
  if (ms !== undefined && ms >= LEAST_TERM_MS && ms <= MAX_TERM_MS) return ms;
  throw wrongOption('LK_INPUT', 'for', TERM_FORM, value);
}
