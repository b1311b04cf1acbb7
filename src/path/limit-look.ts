// Looks at an upstream's limits and changes nothing: how large each is and who says so, what is in use and by whom, what holds
// everybody up, who waits, and where pods' definitions differ. A few round trips; what grows with agents and waits is bounded.

import type { Redis } from '../store/connect.ts';
import type { Override } from '../store/limit-fields.ts';
import { type LimitUse, lookLimit } from '../store/scripts/look-limit.ts';
import type { Keys } from '../words/keys.ts';
import type { Limit, LimitKind } from '../words/limit.ts';
import { type Drift, findDrift, knownLimits, saidByPods } from './limit-definitions.ts';
import type { Upstream } from './upstream.ts';

export interface LimitSeen {
  limit: string;
  kind: LimitKind;
  perMs: number;
  byAgent: boolean;
  /** What holds now: the order's, else the stricter of the definitions. */
  size: number;
  definedSize: number;
  override: Override | null;
  /** Of a limit by agent, that of the agent who was asked for, or of the fullest. */
  inUse: number;
  agent: string | null;
  freesAt: number | null;
  byLane: { lane: string; count: number }[];
  /** Of slots: which pods hold them, the most first. */
  holders: LimitUse['holders'];
}

export interface LimitsSeen {
  upstream: string;
  /** By Redis, as all instants here. */
  seenAt: number;
  limits: LimitSeen[];
  hold: { untilAt: number; who: string | null; reason: string | null } | null;
  /** State was lost: nothing is granted until then. */
  closedUntilAt: number | null;
  /** In the order in which they began to wait. */
  waiting: { lane: string; pod: string; want: number; sinceAt: number; place: number }[];
  drift: Drift[];
  /** Orders for limits that no definition has (any more). */
  unused: (Override & { limit: string })[];
}

const MAX_WAITING = 1_000;
const MAX_AGENTS = 100;
const MAX_LANES = 1_000;
/** Of 1,000 fields: a fleet has hundreds. */
const MAX_PAGES = 100;

export async function lookAtLimits(redis: Redis, keys: Keys, upstream: Upstream, agent?: string): Promise<LimitsSeen> {
  const tag = upstream.name;
  const [fields, standing] = await Promise.all([readFields(redis, keys.limits(tag)), readStanding(redis, keys, tag)]);
  const said = saidByPods(fields, standing.seenAt);
  const known = knownLimits(upstream, fields, said);
  const scene: Scene = { redis, keys, tag, fields };
  const limits = [...known].map(([name, limit]) => lookAtLimit(scene, { name, ...limit }, agent));
  const strangers = [...fields.keys()]
    .filter((field) => field.startsWith('set:') && !known.has(field.slice('set:'.length)))
    .map((field) => field.slice('set:'.length));
  const unused = strangers.map(async (limit) => {
    const { override } = await lookAtUse(scene, { name: limit, kind: 'count' }, undefined);
    return override ? [{ limit, ...override }] : [];
  });
  return {
    upstream: tag,
    limits: await Promise.all(limits),
    ...standing,
    drift: findDrift(said),
    unused: (await Promise.all(unused)).flat(),
  };
}

/** Slots, tickets, weight, until: the head of what ask-permits.lua writes. */
type Wanted = [number, number, number, number];

/** Definitions, orders and uses; not buckets and wants, which are the most. By pages, so that Redis is never held up. */
async function readFields(redis: Redis, key: string): Promise<Map<string, string>> {
  const fields = new Map<string, string>();
  let cursor = '0';
  for (let page = 0; page < MAX_PAGES; page++) {
    const [next, flat] = await redis.hscan(key, cursor, 'MATCH', '[dlsu]*', 'COUNT', 1_000);
    for (let index = 0; index < flat.length; index += 2) fields.set(flat[index] as string, flat[index + 1] as string);
    cursor = next;
    if (cursor === '0') break;
  }
  return fields;
}

async function readStanding(redis: Redis, keys: Keys, tag: string) {
  const replies = await redis
    .multi()
    .time()
    .hmget(keys.limits(tag), 'closed', 'hold', 'held')
    .zrange(keys.limitWaiting(tag), '0', String(MAX_WAITING - 1), 'WITHSCORES')
    .exec();
  const [time, [closed, hold, held], waits] = (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  }) as [string[], (string | null)[], string[]];
  const seenAt = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
  const { who = null, reason = null } = JSON.parse(held ?? '{}') as { who?: string; reason?: string };
  return {
    seenAt,
    closedUntilAt: Number(closed) > seenAt ? Number(closed) : null,
    hold: Number(hold) > seenAt ? { untilAt: Number(hold), who, reason } : null,
    waiting: await readWaiting(redis, keys.limits(tag), waits, seenAt),
  };
}

async function readWaiting(redis: Redis, key: string, waits: string[], nowAt: number): Promise<LimitsSeen['waiting']> {
  const members = waits.filter((_, index) => index % 2 === 0);
  if (members.length === 0) return [];
  const wants = await redis.hmget(key, ...members.map((member) => `want:${member}`));
  return members
    .flatMap((member, index) => {
      const [slots, tickets, , untilAt] = (wants[index] ?? '0 0 1 0').split(' ').map(Number) as Wanted;
      const want = Math.max(slots, tickets);
      const [lane = '', ...pod] = member.split('|');
      const sinceAt = Number(waits[2 * index + 1]);
      return untilAt > nowAt && want > 0 ? [{ lane, pod: pod.join('|'), want, sinceAt }] : [];
    })
    .map((wait, index) => ({ ...wait, place: index + 1 }));
}

interface Scene {
  redis: Redis;
  keys: Keys;
  tag: string;
  /** Of the hash of its limits: which lanes and agents have used what. */
  fields: ReadonlyMap<string, string>;
}

async function lookAtLimit(scene: Scene, limit: Limit, agent: string | undefined): Promise<LimitSeen> {
  const { name, kind, perMs, byAgent } = limit;
  const asked = agent === undefined ? agentsOf(scene, name) : [agent];
  const agents = byAgent && asked.length > 0 ? asked : [undefined];
  const uses = await Promise.all(agents.map((one) => lookAtUse(scene, limit, one)));
  const { defined, override = null, ...use } = uses.reduce((most, one) => (one.inUse > most.inUse ? one : most));
  const definedSize = defined?.size ?? limit.size;
  return { limit: name, kind, perMs, byAgent, size: override?.size ?? definedSize, definedSize, override, ...use };
}

/** Those with the most recorded use: what of it still counts, a look at each tells. */
function agentsOf({ fields }: Scene, limit: string): string[] {
  const start = `used:${limit}:`;
  return [...fields]
    .filter(([field]) => field.startsWith(start) && !field.includes('|'))
    .sort(([, a], [, b]) => Number(b) - Number(a))
    .slice(0, MAX_AGENTS)
    .map(([field]) => field.slice(start.length));
}

async function lookAtUse(
  { redis, keys, tag, fields }: Scene,
  { name, kind }: Pick<Limit, 'name' | 'kind'>,
  agent: string | undefined,
) {
  const use = agent === undefined ? name : `${name}:${agent}`;
  const start = `used:${use}|`;
  const lanes = [...fields.keys()]
    .filter((field) => field.startsWith(start))
    .slice(0, MAX_LANES)
    .map((field) => field.slice(start.length));
  const { ofLanes, ...seen } = await lookLimit.run(
    redis,
    { limits: keys.limits(tag), uses: keys.limitUses(tag, use) },
    { limit: name, use, isSlots: kind === 'concurrent' ? 1 : 0, lanes: JSON.stringify(lanes) },
  );
  const byLane = lanes
    .map((lane, index) => ({ lane, count: ofLanes[index] ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || a.lane.localeCompare(b.lane));
  return { ...seen, agent: agent ?? null, byLane };
}
