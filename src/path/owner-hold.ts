// A lane that a service holds: its lease is renewed by itself, and the holder knows by its own monotonic clock when it may no longer
// rely on it. A lease of 8 s, renewed every 2 s, relied on for 6 s from before it was asked for: whoever is stopped for longer, or
// hears nothing, stops 2 s before another may begin. A holder that is killed blocks the lane for 8 s at the most.

import { randomBytes } from 'node:crypto';
import type { OwnerLocks, RenewReply } from '../store/ownership/owner-locks.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import { LEASE_MS, RENEW_MS, SURE_MS } from '../words/owner.ts';
import { groupOf } from './group.ts';
import type { Lane } from './lane.ts';
import { sayTerm } from './owned.ts';
import { expectExclusive, expectGranted, toAs, toTermMs } from './owner-orders.ts';
import { toReason } from './reason.ts';

export interface HoldOptions {
  /** cron, manual, a service's name. */
  as: string;
  /** Kept in the journal, and shown to whoever else wants the lane. */
  reason: string;
  /** It ends after so long, at most '24h'. Default: when it is released, or its holder dies. */
  for?: string | number;
}

/** What an add says of the owner on whose behalf it is; the script that adds checks it. */
export interface OwnerClaim {
  readonly as: string;
  readonly by: string;
  readonly token: number;
}

export interface OwnerHold extends AsyncDisposable {
  readonly as: string;
  readonly by: string;
  readonly token: number;
  /** All lanes that are held together. */
  readonly lanes: readonly string[];
  /** Epoch ms by Redis of the end of its lease, as last renewed. */
  readonly untilAt: number;
  /** By this process's own clock: true as long as surely nobody else has it. */
  readonly isHeld: boolean;
  /** Aborted, with the reason, when it is lost; not when it is released. */
  readonly signal: AbortSignal;
  /** Throws LK_OWNED once it is not held any more. */
  claim(): OwnerClaim;
  /** Gives it back. Of one that is lost it does nothing. */
  release(why?: string): Promise<void>;
}

export interface HoldParts {
  locks: OwnerLocks;
  lane: Lane;
  by: string;
  clock: Clock;
  /** Called once, when it is released or lost. */
  onEnd?: (hold: OwnerHold) => void;
}

/** After an error: it extends nothing, and leaves time for two or three more. */
const RETRY_MS = 500;

export async function holdLane({ locks, lane, by, clock, onEnd }: HoldParts, given: HoldOptions): Promise<OwnerHold> {
  const { as, reason, forMs } = readHoldOptions(given);
  const group = groupOf(expectExclusive(lane), []);
  const hold = randomBytes(9).toString('base64url');
  const startedMono = clock.mono();
  const endsMono = startedMono + forMs;
  const termFrom = (mono: number) => Math.min(LEASE_MS, endsMono - mono);
  const ask = { as, by, reason, termMs: termFrom(startedMono), hold, isForced: false, floor: 0 };
  const { lease, lanes } = expectGranted(lane, await locks.take(group, ask));
  const claim: OwnerClaim = Object.freeze({ as, by, token: lease.token });

  const controller = new AbortController();
  let { untilAt } = lease;
  let sureUntilMono = 0;
  let state: 'held' | 'lost' | 'released' = 'held';
  let timer: NodeJS.Timeout | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let renewing: Promise<void> | undefined;
  let why = '';

  function relyOn(askedMono: number): void {
    sureUntilMono = Math.min(askedMono + SURE_MS, endsMono);
    clearTimeout(deadline);
    deadline = setTimeout(() => lose(sayLate()), Math.max(0, sureUntilMono - clock.mono()));
  }

  function sayLate(): string {
    return clock.mono() >= endsMono ? 'its term has ended' : 'it could not be renewed in time';
  }

  function lose(reason: string): void {
    if (state !== 'held') return;
    state = 'lost';
    why = reason;
    clearTimeout(timer);
    clearTimeout(deadline);
    controller.abort(notHeld());
    onEnd?.(self);
  }

  function notHeld(): LanekeeperError {
    const how = state === 'released' ? 'it was released' : why || sayLate();
    return new LanekeeperError(
      'LK_OWNED',
      `lane ${quote(lane.name)} is not held by ${as} of ${by} any more: ${how}; take it again`,
    );
  }

  async function renew(): Promise<void> {
    const askedMono = clock.mono();
    if (askedMono >= sureUntilMono) return lose(sayLate());
    let reply: RenewReply;
    try {
      reply = await locks.renew(group, { ...claim, hold }, termFrom(askedMono));
    } catch (error) {
      why = `it could not be renewed: ${toError(error).message}`;
      if (state === 'held') renewIn(RETRY_MS);
      return;
    }
    if (state !== 'held') return;
    if (reply.kind === 'lost') {
      const isTheirs = reply.lease?.isLive && reply.lease.token !== claim.token;
      return lose(
        isTheirs && reply.lease
          ? `it is owned by ${sayTerm(reply.lease)}`
          : 'Redis knows of it no more, or it was given back',
      );
    }
    why = '';
    untilAt = reply.lease.untilAt;
    relyOn(askedMono);
    renewIn(RENEW_MS);
  }

  function renewIn(ms: number): void {
    timer = setTimeout(() => {
      renewing = renew();
    }, ms);
  }

  const self: OwnerHold = {
    as,
    by,
    token: claim.token,
    lanes: Object.freeze(lanes),
    get untilAt() {
      return untilAt;
    },
    get isHeld() {
      return state === 'held' && clock.mono() < sureUntilMono;
    },
    signal: controller.signal,
    claim() {
      if (!self.isHeld) throw notHeld();
      return claim;
    },
    async release(reason = 'given back') {
      if (state !== 'held') return;
      state = 'released';
      clearTimeout(timer);
      clearTimeout(deadline);
      onEnd?.(self);
      // Lock servers would take a renewal that comes after it for one of theirs that they forgot.
      await renewing;
      await locks.release(group, { ...claim, hold, why: reason });
    },
    [Symbol.asyncDispose]: () => self.release(),
  };
  relyOn(startedMono);
  renewIn(RENEW_MS);
  return self;
}

function readHoldOptions(given: HoldOptions): { as: string; reason: string; forMs: number } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrongOption('LK_INPUT', 'take', '{ as, reason, for }', given);
  }
  const { as, reason, for: term, ...rest } = given;
  const [stranger] = Object.keys(rest);
  if (stranger !== undefined)
    throw new LanekeeperError('LK_INPUT', `${quote(stranger)}: expected one of as, reason, for`);
  const forMs = term === undefined ? Number.POSITIVE_INFINITY : toTermMs(term);
  return { as: toAs(as), reason: toReason(reason), forMs };
}
