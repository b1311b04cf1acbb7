// May a job of an exclusive lane run: did an owner feed it, and has no other taken the lane since? And which fence its attempt shows
// from here on: the highest token of the lane's owner and of the pod that runs it, read after the job was fetched. Lanes that are
// open, and run by all pods, ask nothing.

import type { LaneQueue } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { sayOwner } from '../words/owner.ts';
import type { AdmissionGate, Verdict } from './admission.ts';
import type { Attempt } from './attempt.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';
import { readFeeder, sayTake } from './owned.ts';

/** A lease that cannot be read is asked for again: whoever runs it unasked might act for one who was displaced. */
const AGAIN_MS = 500;

export function createOwnerGate(queueOf: (lane: string) => LaneQueue, keys: Keys, clock: Clock): AdmissionGate {
  return (attempt) => {
    const { lane } = attempt;
    if (lane.ownership !== 'exclusive' && lane.pods === 'all') return undefined;
    return ask(attempt, queueOf(lane.name));
  };

  async function ask(attempt: Attempt, { redis, jobKey }: LaneQueue): Promise<Verdict | undefined> {
    const { lane, id } = attempt;
    const isExclusive = lane.ownership === 'exclusive';
    const none: (string | null)[] = [];
    let read: [(string | null)[], (string | null)[], string | null];
    try {
      // One after the other on one connection: the lease is read when the job is ours, so who takes the lane later finds it active.
      read = await Promise.all([
        isExclusive ? redis.hmget(keys.owner(groupAddress(lane)), 'token', 'last', 'as', 'by') : none,
        lane.pods === 'one' ? redis.hmget(keys.run(lane), 'token', 'last') : none,
        isExclusive ? redis.hget(jobKey(id), JOB_FIELDS.owner) : null,
      ]);
    } catch (error) {
      const reason = `who owns the lane is unknown: ${toError(error).message}`;
      return { kind: 'park', gate: 'owner', untilAt: clock.now() + AGAIN_MS, reason };
    }
    const [[token, last, as, by], run, fedBy] = read as [string[], string[], string | null];
    const feeder = readFeeder(fedBy);
    attempt.fedBy = feeder;
    const scope = isExclusive && lane.agent ? `group:${lane.tag}` : `lane:${lane.name}`;
    attempt.laneFence = { token: highest([token, last, ...run, feeder && String(feeder.token)]), scope };
    if (!isExclusive) return undefined;
    if (!feeder) return { kind: 'refuse', class: 'refused', reason: sayUnfed(lane) };
    const isDisplaced = Number(token) > feeder.token && (as !== feeder.as || by !== feeder.by);
    if (!isDisplaced || lane.displaced === 'drain') return undefined;
    const reason = `${sayOwner(feeder)} fed it, and ${sayOwner({ as: as ?? '', by: by ?? '' })} took the lane`;
    return { kind: 'park', gate: 'owner', untilAt: null, reason };
  }
}

function sayUnfed({ name }: Lane): string {
  return `no owner fed it, and lane ${name} is exclusive: take it ('${sayTake(name)}'), and add as its owner`;
}

/** Of tokens as text: exact as numbers until the year 2255. */
function highest(tokens: readonly (string | null | undefined)[]): string {
  return String(Math.max(0, ...tokens.map((token) => Number(token ?? 0) || 0)));
}
