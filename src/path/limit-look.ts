// Looks at an upstream's limits and changes nothing: how large each is and who says so, what is in use and by whom, what holds
// everybody up, who waits, and where pods' definitions differ. A few round trips; what grows with agents and waits is bounded.

import type { Redis } from '../store/connect.ts';
import { type Override, parseOverride } from '../store/limit-fields.ts';
import type { Keys } from '../words/keys.ts';
import type { LimitDriverName, LimitKind } from '../words/limit.ts';
import { type Drift, type DriverSplit, findDrift, findSplit, knownLimits, saidByPods } from './limit-definitions.ts';
import { type LimitUse, lookAtUse, type Scene } from './limit-use.ts';
import type { Upstream } from './upstream.ts';

/** Of a limit by agent its use is that of the agent who was asked for, or of the fullest. */
export interface LimitSeen extends LimitUse {
  limit: string;
  kind: LimitKind;
  perMs: number;
  byAgent: boolean;
  /** What holds now: the order's, else the stricter of the definitions. */
  size: number;
  definedSize: number;
  override: Override | null;
  /** Of a limit by agent, the fullest first, at most 100 of those who used something last. */
  agents: LimitUse[];
}

export interface LimitsSeen {
  upstream: string;
  /** By Redis, as all instants here. */
  seenAt: number;
  /** What keeps them: where pods differ, the one that grants. */
  driver: LimitDriverName;
  limits: LimitSeen[];
  hold: { untilAt: number; who: string | null; reason: string | null } | null;
  /** State was lost: nothing is granted until then. */
  closedUntilAt: number | null;
  /** In the order in which they began to wait. */
  waiting: { lane: string; pod: string; want: number; sinceAt: number; place: number }[];
  drift: Drift[];
  split: DriverSplit | null;
  /** Orders for limits that no definition has (any more). */
  unused: (Override & { limit: string })[];
}

const MAX_WAITING = 1_000;
const MAX_AGENTS = 100;
/** Of 1,000 fields: a fleet has hundreds. */
const MAX_PAGES = 100;

/** `agent`: as one job is concerned, which acts as this one, or as none (null). */
export async function lookAtLimits(
  redis: Redis,
  keys: Keys,
  upstream: Upstream,
  agent?: string | null,
): Promise<LimitsSeen> {
  const tag = upstream.name;
  const [fields, definitions, { agents, granting, ...standing }] = await Promise.all([
    readFields(redis, keys.limits(tag)),
    redis.hgetall(keys.limitDefinitions(tag)),
    readStanding(redis, keys, tag),
  ]);
  const said = saidByPods(new Map(Object.entries(definitions)), standing.seenAt);
  const known = knownLimits(upstream, fields, said);
  const driver = granting ?? upstream.limits?.driver ?? 'scripts';
  const scene: Scene = {
    redis,
    keys,
    tag,
    fields,
    agents: agent === undefined ? agents : [agent].filter((one) => one !== null),
  };
  const limits = [...known].map(async ([limit, { size, ...like }]): Promise<LimitSeen> => {
    const { defined, override = null, use, ...seen } = await lookAtUse(scene, { name: limit, size, ...like });
    const definedSize = defined?.size ?? size;
    return { limit, ...like, size: override?.size ?? definedSize, definedSize, override, ...use, ...seen };
  });
  const unused = [...fields].flatMap(([field, text]) => {
    const limit = field.startsWith('set:') ? field.slice('set:'.length) : undefined;
    const override = limit === undefined || known.has(limit) ? undefined : parseOverride(text, standing.seenAt);
    return limit !== undefined && override ? [{ limit, ...override }] : [];
  });
  return {
    upstream: tag,
    driver,
    limits: await Promise.all(limits),
    ...standing,
    drift: findDrift(said),
    split: findSplit(said, driver),
    unused,
  };
}

/** Slots, tickets, weight, until: the head of what ask-permits.lua writes. */
type Wanted = [number, number, number, number];

/** Limits, orders and uses; not buckets and wants, which are the most. By pages, so that Redis is never held up. */
async function readFields(redis: Redis, key: string): Promise<Map<string, string>> {
  const fields = new Map<string, string>();
  let cursor = '0';
  for (let page = 0; page < MAX_PAGES; page++) {
    const [next, flat] = await redis.hscan(key, cursor, 'MATCH', '[lsu]*', 'COUNT', 1_000);
    for (let index = 0; index < flat.length; index += 2) fields.set(flat[index] as string, flat[index + 1] as string);
    cursor = next;
    if (cursor === '0') break;
  }
  return fields;
}

/** What is the same for all of its limits, at one instant. */
async function readStanding(redis: Redis, keys: Keys, tag: string) {
  const replies = await redis
    .multi()
    .time()
    .hmget(keys.limits(tag), 'closed', 'hold', 'held', 'driver')
    .zrange(keys.limitWaiting(tag), '0', String(MAX_WAITING - 1), 'WITHSCORES')
    .zrevrange(keys.limitAgents(tag), '0', String(MAX_AGENTS - 1))
    .exec();
  const [time, [closed, hold, held, driver], waits, agents] = (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  }) as [string[], (string | null)[], string[], string[]];
  const seenAt = Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000);
  const { who = null, reason = null } = JSON.parse(held ?? '{}') as { who?: string; reason?: string };
  return {
    seenAt,
    agents,
    granting: (driver ?? undefined) as LimitDriverName | undefined,
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
