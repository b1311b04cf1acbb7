// Looks at an upstream's agents and changes nothing: who may act when and why not sooner, what each acts on now, and how many jobs
// wait, for one by name or for anybody. Two round trips, and one more per 200 agents.

import type { Redis } from '../store/connect.ts';
import type { Keys } from '../words/keys.ts';
import type { Upstream } from './upstream.ts';

/** Epoch ms by Redis, as all instants here. */
export interface AgentSeen {
  agent: string;
  /**
   * `open`: it may act at once, and nobody wants it or somebody is about to. `silent`: nobody acts as it until it registers again;
   * what it does now goes on, and it is `acting` until then.
   */
  state: 'open' | 'acting' | 'cooling' | 'silent';
  /** When its window opens, or did; null when that is not known any more: it waits for the longest cooldown. */
  nextAt: number | null;
  /** The last answer of its last act. */
  lastAt: number | null;
  source: string | null;
  reason: string | null;
  /** Since it was registered. */
  acts: number;
  /** Recent success, 0 to 1; null before its first act. */
  success: number | null;
  acting: { lane: string; job: string; pod: string; sinceAt: number } | null;
  /** Jobs that wait for this one. */
  waiting: number;
  addedAt: number | null;
  addedBy: string | null;
  /** Whoever brought it last registered it, or did so again as a sign of life; null for one that a definition names. */
  heardAt: number | null;
  /** It promised to register again within it; null: it promised nothing. */
  heartbeatMs: number | null;
  /** It did not, and was heard last then; null: it is not silent. */
  silentSinceAt: number | null;
  meta: unknown;
}

export interface AgentsSeen {
  upstream: string;
  seenAt: number;
  agents: AgentSeen[];
  /** Lanes whose jobs act as them: what an act costs, and how many jobs wait for any agent. */
  lanes: { lane: string; cooldownMs: number | null; waiting: number }[];
  /** Not registered, but named: by the definition, or by jobs that wait for one that was removed. */
  absent: { agent: string; waiting: number; isRemoved: boolean }[];
  /** State was lost: nobody acts before. */
  closedUntilAt: number | null;
  /** Pods that look after them now. */
  pods: number;
}

const PAGE = 200;
/** Commands at once: more block the loop for longer than one may take. */
const CHUNK = 1_000;
/** Of those that were removed: who leaves for good stays in that set. */
const MAX_REMOVED = 1_000;
/** A pod says so twice a second, or ahead, while nothing stirs. */
const ALIVE_MS = 1_000;

/** `lanes` are those of the folder that act as its agents: they may have no pod yet. */
export async function lookAtAgents(
  redis: Redis,
  keys: Keys,
  upstream: Pick<Upstream, 'name' | 'agents'>,
  lanes: readonly string[] = [],
): Promise<AgentsSeen> {
  const tag = upstream.name;
  const { redisAt, registered, cooldowns, removed, closed, beats } = await readTogether(redis, keys, tag);
  const seenAt = Math.floor(redisAt);
  const laneNames = [...new Set([...Object.keys(cooldowns), ...lanes])].sort();
  const waitingOf = (agents: readonly string[]) => countWaiting(redis, keys, tag, laneNames, agents);
  const names = Object.keys(registered).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const agents: AgentSeen[] = [];
  for (let from = 0; from < names.length; from += PAGE) {
    const page = names.slice(from, from + PAGE);
    const [states, waiting] = await Promise.all([
      Promise.all(page.map((agent) => redis.hgetall(keys.agent(tag, agent)))),
      waitingOf(page),
    ]);
    for (const [index, agent] of page.entries()) {
      const seen = toSeen(agent, registered[agent] ?? '', states[index] ?? {}, redisAt);
      agents.push({ ...seen, waiting: waiting[index] ?? 0 });
    }
  }
  const strangers = [...new Set([...upstream.agents, ...removed])].filter((agent) => !(agent in registered));
  const [anyWaiting, strangersWaiting] = await Promise.all([
    Promise.all(laneNames.map((name) => redis.zcard(keys.line({ name, tag })))),
    waitingOf(strangers),
  ]);
  const absent = strangers.map((agent, index) => {
    return { agent, waiting: strangersWaiting[index] ?? 0, isRemoved: removed.includes(agent) };
  });
  return {
    upstream: tag,
    seenAt,
    agents,
    lanes: laneNames.map((lane, index) => {
      const cooldownMs = cooldowns[lane] === undefined ? null : Number(cooldowns[lane]);
      return { lane, cooldownMs, waiting: anyWaiting[index] ?? 0 };
    }),
    // Who was removed and is waited for by nobody is missed by nobody.
    absent: absent.filter(({ waiting, isRemoved }) => waiting > 0 || !isRemoved),
    closedUntilAt: Number(closed) > seenAt ? Math.ceil(Number(closed)) : null,
    pods: beats.filter((_, place) => place % 2 === 1).filter((at) => Number(at) > seenAt - ALIVE_MS).length,
  };
}

/** What is the same for all, at one instant. */
async function readTogether(redis: Redis, keys: Keys, tag: string) {
  const ours = keys.upstream(tag);
  const replies = await redis
    .multi()
    .time()
    .hgetall(keys.agents(tag))
    .hgetall(`${ours}agent-lanes`)
    .srandmember(`${ours}agents-removed`, MAX_REMOVED)
    .hget(`${ours}agent-state`, 'closed')
    .zrange(`${ours}agent-pods`, '0', '-1', 'WITHSCORES')
    .exec();
  const [time, registered, cooldowns, removed, closed, beats] = (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  }) as [string[], Record<string, string>, Record<string, string>, string[], string | null, string[]];
  return { redisAt: Number(time[0]) * 1_000 + Number(time[1]) / 1_000, registered, cooldowns, removed, closed, beats };
}

/** Of each agent, in all lanes. */
export async function countWaiting(
  redis: Redis,
  keys: Keys,
  tag: string,
  lanes: readonly string[],
  agents: readonly string[],
): Promise<number[]> {
  const lines = agents.flatMap((agent) => lanes.map((name) => keys.line({ name, tag }, agent)));
  const counts: number[] = [];
  for (let from = 0; from < lines.length; from += CHUNK) {
    counts.push(...(await Promise.all(lines.slice(from, from + CHUNK).map((line) => redis.zcard(line)))));
  }
  const ofAgent = (index: number) => counts.slice(index * lanes.length, (index + 1) * lanes.length);
  return agents.map((_, index) => ofAgent(index).reduce((sum, count) => sum + count, 0));
}

/** As it stands beside a registered agent's name. */
interface Entry {
  at?: number;
  heard?: number;
  by?: string;
  meta?: string;
  heartbeatMs?: number;
}

function toSeen(agent: string, entry: string, state: Record<string, string>, redisAt: number): AgentSeen {
  const { at = null, heard = null, by = null, meta, heartbeatMs = null } = JSON.parse(entry || '{}') as Entry;
  const nextAt = toAt(state.next);
  const isActing = state.token !== undefined;
  const rests = nextAt !== null && Number(state.next) <= redisAt ? 'open' : 'cooling';
  const acting = { lane: state.lane ?? '', job: state.job ?? '', pod: state.pod ?? '' };
  return {
    agent,
    state: isActing ? 'acting' : state.silent === undefined ? rests : 'silent',
    nextAt,
    lastAt: toAt(state.last),
    source: state.source || null,
    reason: state.reason || null,
    acts: Number(state.acts ?? 0),
    success: state.ok === undefined ? null : Number(state.ok),
    acting: isActing ? { ...acting, sinceAt: toAt(state.claimed) ?? Math.floor(redisAt) } : null,
    waiting: 0,
    addedAt: at,
    addedBy: by,
    heardAt: heard,
    heartbeatMs,
    silentSinceAt: toAt(state.silent),
    meta: meta === undefined ? null : parseMeta(meta),
  };
}

/** A window opens no sooner than is said here: Redis keeps fractions. */
function toAt(text: string | undefined): number | null {
  return text === undefined || text === '' ? null : Math.ceil(Number(text));
}

/** Kept as text, because Lua's JSON rounds numbers and knows no empty list. */
function parseMeta(meta: unknown): unknown {
  if (typeof meta !== 'string') return meta;
  try {
    return JSON.parse(meta);
  } catch {
    return meta;
  }
}
