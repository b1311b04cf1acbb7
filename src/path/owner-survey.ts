// All that has to do with owners, at one look: who has each group of exclusive lanes, whose jobs lie aside in them, and which pod runs
// what only one may. It changes nothing but what any look tells: that a term ran out.

import type { Redis } from '../store/connect.ts';
import type { OwnerLocks } from '../store/ownership/owner-locks.ts';
import { redisNow } from '../store/redis-now.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { type Owner, sayOwner } from '../words/owner.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';
import { readFeeder } from './owned.ts';
import { lookAtOwner, type OwnerLooked } from './owner-orders.ts';

export interface LaneAside {
  lane: string;
  count: number;
  /** Whose they are, of the 1,000 that are oldest. */
  of: Owner[];
}

export interface GroupSeen extends OwnerLooked {
  /** Lanes in which something lies aside. */
  aside: LaneAside[];
}

/** Null: no pod ever had the turn. */
export interface TurnSeen {
  lane: string;
  last: { pod: string; untilAt: number; isLive: boolean } | null;
}

export interface OwnerSurvey {
  groups: GroupSeen[];
  turns: TurnSeen[];
}

/** Who fed a job stands in the job: 100,000 reads would tell the same few names. */
const OLDEST = 1_000;

export async function surveyOwners(
  redis: Redis,
  keys: Keys,
  locks: OwnerLocks,
  lanes: readonly Lane[],
): Promise<OwnerSurvey> {
  const exclusive = lanes.filter(({ ownership }) => ownership === 'exclusive');
  const groups = new Map<string, Lane[]>();
  for (const lane of exclusive) {
    const lease = keys.owner(groupAddress(lane));
    groups.set(lease, [...(groups.get(lease) ?? []), lane]);
  }
  return {
    groups: await Promise.all([...groups.values()].map(seeGroup)),
    turns: await Promise.all(lanes.filter(({ pods }) => pods === 'one').map(seeTurn)),
  };

  async function seeGroup(members: readonly Lane[]): Promise<GroupSeen> {
    const looked = await lookAtOwner({ locks, lane: members[0] as Lane, lanes: members });
    const aside = await Promise.all(members.map(seeAside));
    return { ...looked, aside: aside.filter(({ count }) => count > 0) };
  }

  async function seeAside(lane: Lane): Promise<LaneAside> {
    const [count, oldest] = await Promise.all([
      redis.zcard(keys.aside(lane)),
      redis.zrange(keys.aside(lane), '0', String(OLDEST - 1)),
    ]);
    const queue = `${keys.queuePrefix(lane)}:${lane.name}:`;
    const fedBy = await Promise.all(oldest.map((id) => redis.hget(`${queue}${id}`, JOB_FIELDS.owner)));
    const of = new Map<string, Owner>();
    for (const feeder of fedBy.map(readFeeder)) if (feeder) of.set(sayOwner(feeder), { as: feeder.as, by: feeder.by });
    return { lane: lane.name, count, of: [...of.values()] };
  }

  async function seeTurn(lane: Lane): Promise<TurnSeen> {
    const [[pod, until], nowAt] = await Promise.all([redis.hmget(keys.run(lane), 'pod', 'until'), redisNow(redis)]);
    const untilAt = Number(until);
    return { lane: lane.name, last: pod ? { pod, untilAt, isLive: untilAt > nowAt } : null };
  }
}
