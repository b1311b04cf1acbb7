// Who decides who owns a lane: one interface, two drivers (locks-single: the Redis of the jobs; locks-quorum: a majority of lock
// servers, and then that Redis). Both are held to one suite. What is refused changes nothing; what is not known is refused.

import type { OwnerGroup } from '../../words/owner.ts';
import type { SeenLease } from './lease-fields.ts';
import type { Taken } from './take-owner.ts';

export interface TakeAsk {
  readonly as: string;
  readonly by: string;
  readonly reason: string;
  readonly termMs: number;
  /** Who will renew it; '' for a term that ends by itself. */
  readonly hold: string;
  readonly isForced: boolean;
  /** The highest token the caller knows; 0. Whatever Redis lost, the new one is higher. */
  readonly floor: number;
}

/** What a holder says of itself. */
export interface Claimed {
  readonly as: string;
  readonly by: string;
  readonly token: number;
  readonly hold: string;
}

export interface ReleaseAsk {
  readonly as: string;
  readonly by: string;
  /** Undefined: whichever it is. */
  readonly token?: number;
  readonly hold?: string;
  readonly why: string;
}

export interface OwnerSeen {
  /** Undefined: nobody ever owned it. */
  readonly lease: SeenLease | undefined;
  readonly lanes: string[];
  readonly lastToken: number;
  /** Of the lock servers, where they decide. */
  readonly servers?: LockServersSeen;
}

export interface LockServersSeen {
  readonly count: number;
  /** How many have to agree. */
  readonly majority: number;
  readonly answering: number;
}

export type TakeReply = Exclude<Taken, { kind: 'abstains' }>;
export type RenewReply = { kind: 'renewed'; lease: SeenLease } | { kind: 'lost'; lease: SeenLease | undefined };
export interface ReleaseReply {
  kind: 'released' | 'owned' | 'stale' | 'free';
  lease: SeenLease | undefined;
  lanes: string[];
}

/** Each throws when nobody can say: what Redis answered, or LK_LOCKS_DOWN. */
export interface OwnerLocks {
  take(group: OwnerGroup, ask: TakeAsk): Promise<TakeReply>;
  renew(group: OwnerGroup, claim: Claimed, termMs: number): Promise<RenewReply>;
  release(group: OwnerGroup, ask: ReleaseAsk): Promise<ReleaseReply>;
  /** What the record says, which is what adds are checked against; whoever decides. */
  look(group: OwnerGroup): Promise<OwnerSeen>;
  close(): void;
}
