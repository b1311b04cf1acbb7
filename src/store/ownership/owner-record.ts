// The lease of a group as one Redis keeps it, by the scripts: the record that adds are checked against, or the vote of a lock server.

import type { Keys } from '../../words/keys.ts';
import type { OwnerGroup } from '../../words/owner.ts';
import type { Redis } from '../connect.ts';
import { lookOwner } from './look-owner.ts';
import type { Claimed, OwnerSeen, ReleaseAsk, ReleaseReply, RenewReply, TakeAsk } from './owner-locks.ts';
import { releaseOwner } from './release-owner.ts';
import { renewOwner } from './renew-owner.ts';
import { type Taken, takeOwner } from './take-owner.ts';

export interface OwnerRecordOptions {
  redis: Redis;
  keys: Keys;
  /** On a lock server: it does not vote before its data is so old. Undefined: this is the record, and tells what happens. */
  abstainMs?: number;
}

export class OwnerRecord {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #abstainMs: number | undefined;

  constructor({ redis, keys, abstainMs }: OwnerRecordOptions) {
    this.#redis = redis;
    this.#keys = keys;
    this.#abstainMs = abstainMs;
  }

  /** `token`: what a majority of lock servers decided. */
  take(group: OwnerGroup, ask: TakeAsk & { ask: string; token?: number }): Promise<Taken> {
    const { tag } = group.address;
    return takeOwner.run(
      this.#redis,
      // The record has no birth to keep: the lease stands in for it, so that all keys lie on one shard.
      { ...this.#at(group), born: this.#isLock ? this.#keys.lockBorn() : this.#keys.owner(group.address) },
      {
        ...ask,
        lane: group.lane,
        termMs: Math.round(ask.termMs),
        isForced: ask.isForced ? 1 : 0,
        token: ask.token ?? '',
        abstainMs: this.#abstainMs ?? '',
        known: JSON.stringify(group.lanes),
        channel: this.#keys.ownerNotice(tag),
        upstreamPrefix: this.#keys.upstream(tag),
        lanesPrefix: this.#keys.lanes(tag),
        queuesPrefix: `${this.#keys.queuePrefix({ name: group.lane, tag })}:`,
      },
    );
  }

  /** `raised`: the token it has from now on. `restores`: others, the most of them, have it so. */
  renew(
    group: OwnerGroup,
    { as, by, token, hold }: Claimed,
    termMs: number,
    { raised = token, restores = false } = {},
  ): Promise<RenewReply> {
    const given = { as, by, token, hold, termMs: Math.round(termMs), raised, restores: restores ? 1 : 0 };
    const rest = { lane: group.lane, isLock: this.#isLock ? 1 : 0, known: JSON.stringify(group.lanes) };
    return renewOwner.run(this.#redis, this.#at(group), { ...given, ...rest }) as Promise<RenewReply>;
  }

  /** `ask`: only what that call was granted. */
  release(group: OwnerGroup, { as, by, token, hold, why, ask }: ReleaseAsk & { ask?: string }): Promise<ReleaseReply> {
    const given = { as, by, token: token ?? '', hold: hold ?? '', ask: ask ?? '', why };
    const rest = { lane: group.lane, isLock: this.#isLock ? 1 : 0, known: JSON.stringify(group.lanes) };
    const channel = this.#keys.ownerNotice(group.address.tag);
    return releaseOwner.run(this.#redis, this.#at(group), { ...given, ...rest, channel });
  }

  /** Throws when its Redis does not answer. */
  async answers(): Promise<true> {
    await this.#redis.ping();
    return true;
  }

  look(group: OwnerGroup): Promise<OwnerSeen> {
    const channel = this.#keys.ownerNotice(group.address.tag);
    const known = JSON.stringify(group.lanes);
    return lookOwner.run(this.#redis, this.#at(group), { lane: group.lane, known, channel });
  }

  get #isLock(): boolean {
    return this.#abstainMs !== undefined;
  }

  #at({ address }: OwnerGroup) {
    const keys = this.#keys;
    return {
      owner: keys.owner(address),
      lanes: keys.ownerLanes(address),
      journal: keys.journal(address.tag),
      changes: keys.ownerChanges(address),
    };
  }
}
