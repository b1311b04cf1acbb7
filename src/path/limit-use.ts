// What is in use of one limit, and by whom: of those that a pod takes before it fetches a job (slots and tickets, whichever driver
// keeps them), and of those that are taken with the job (tokens, and what each agent may do).

import type { Redis } from '../store/connect.ts';
import type { Holder, LimitDefined, Override } from '../store/limit-fields.ts';
import { lookLimit } from '../store/scripts/look-limit.ts';
import { lookOwnLimit, type OwnUseSeen } from '../store/scripts/look-own-limit.ts';
import type { Keys } from '../words/keys.ts';
import type { Limit } from '../words/limit.ts';

export interface LimitUse {
  /** Whose it is; null when it is everybody's, or nobody's is in use. */
  agent: string | null;
  inUse: number;
  /** Of tokens and by agent: so much of it is of attempts that run; the rest has come to its end and still counts. */
  underWay: number | null;
  freesAt: number | null;
  /** Of tokens and by agent, of what is under way. */
  byLane: { lane: string; count: number }[];
  /** Of slots and what is under way: on which pods, the most first. */
  holders: Holder[];
}

export interface LimitUses {
  /** What the pods agreed on, and what was ordered; undefined for none. */
  defined: LimitDefined | undefined;
  override: Override | undefined;
  use: LimitUse;
  /** Of a limit by agent, the fullest first, at most 100 of those who used something last. */
  agents: LimitUse[];
}

export interface Scene {
  redis: Redis;
  keys: Keys;
  tag: string;
  /** Of the hash of its limits: which lanes have used what. */
  fields: ReadonlyMap<string, string>;
  /** Whom to look at. */
  agents: readonly string[];
}

const MAX_LANES = 1_000;

export function lookAtUse(scene: Scene, limit: Limit): Promise<LimitUses> {
  return limit.byAgent || limit.kind === 'tokens' ? lookAtOwn(scene, limit) : lookAtShared(scene, limit);
}

async function lookAtShared({ redis, keys, tag, fields }: Scene, { name, kind }: Limit): Promise<LimitUses> {
  const isSlots = kind === 'concurrent';
  const start = `used:${name}|`;
  const lanes = isSlots ? [] : [...fields.keys()].filter((field) => field.startsWith(start)).slice(0, MAX_LANES);
  const names = lanes.map((field) => field.slice(start.length));
  const { ofLanes, defined, override, ...use } = await lookLimit.run(
    redis,
    {
      limits: keys.limits(tag),
      uses: keys.limitUses(tag, name),
      leases: `${keys.bottleneck(tag, 'slots')}_job_expirations`,
      holders: keys.bottleneckHolders(tag),
    },
    { limit: name, isSlots: isSlots ? 1 : 0, lanes: JSON.stringify(names) },
  );
  const tickets = names.map((lane, index) => ({ lane, count: ofLanes[index] ?? 0 }));
  const byLane = sumByLane(isSlots ? use.holders : tickets);
  return { defined, override, use: { agent: null, underWay: null, ...use, byLane }, agents: [] };
}

async function lookAtOwn({ redis, keys, tag, agents }: Scene, { name, kind, byAgent }: Limit): Promise<LimitUses> {
  const places = byAgent ? agents : [undefined];
  const { defined, override, uses } = await lookOwnLimit.run(
    redis,
    { limits: keys.limits(tag) },
    {
      limit: name,
      places: JSON.stringify(
        places.map((agent) => ({
          uses: keys.limitUses(tag, name, agent),
          amounts: keys.limitAmounts(tag, name, agent),
        })),
      ),
    },
  );
  // What an attempt holds ends when the attempt does: its lease says nothing of when.
  const toUse = (use: OwnUseSeen, index: number): LimitUse => ({
    agent: places[index] ?? null,
    ...use,
    freesAt: kind === 'concurrent' ? null : use.freesAt,
    byLane: sumByLane(use.holders),
  });
  const seen = uses.map(toUse).sort((a, b) => b.inUse - a.inUse || (a.agent ?? '').localeCompare(b.agent ?? ''));
  return { defined, override, use: seen[0] ?? UNUSED, agents: byAgent ? seen.filter(isInUse) : [] };
}

const UNUSED: LimitUse = { agent: null, inUse: 0, underWay: 0, freesAt: null, byLane: [], holders: [] };

const isInUse = ({ inUse }: LimitUse) => inUse > 0;

function sumByLane(parts: readonly { lane: string; count: number }[]): LimitUse['byLane'] {
  const sums = new Map<string, number>();
  for (const { lane, count } of parts) sums.set(lane, (sums.get(lane) ?? 0) + count);
  return [...sums]
    .map(([lane, count]) => ({ lane, count }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || a.lane.localeCompare(b.lane));
}
