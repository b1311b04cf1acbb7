// Why a job waits for an agent's window, as it stands now: who opens next and when, how many go before it, and whether it waits for
// one that is not there. Read anew with every look, because an order or an answer moves windows after the job was parked.

import type { LaneQueue } from '../store/lane-queue.ts';
import { toInstant } from '../words/clock.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { sayAdd, sayCause, sayOpening } from './agent-lines.ts';

export interface WindowWait {
  upstream: string;
  /** The one it was added for; null: any. */
  agent: string | null;
  /** That one is registered, or, for any, somebody is. */
  isThere: boolean;
  seenAt: number;
  /** 1 = next; null when it does not stand in line (yet). */
  place: number | null;
  /** An estimate from line and calendar; null when it hangs on an agent that is not there. */
  untilAt: number | null;
  /** Those before it, by lane: for the same agent, or for any. */
  before: { lane: string; count: number }[];
  agentCount: number;
  /** Those that nobody acts as, because they did not register again in time; they are none of the count before. */
  silentCount: number;
  /** The named one is such a one, heard last then. */
  silentSinceAt: number | null;
  /** Whose window decides: the named one's, or the one that opens next. Null when all act now. */
  opening: Opening | null;
  /** State was lost: nobody acts before. */
  closedUntilAt: number | null;
}

interface Opening {
  agent: string;
  /** Null: it acts now. */
  opensAt: number | null;
  lastAt: number | null;
  source: string | null;
  reason: string | null;
  silentSinceAt: number | null;
  acting: { lane: string; job: string; pod: string } | null;
}

/** Undefined: it is not parked for a window (any more). */
export async function readWindowWait(
  { redis, jobKey, lane }: LaneQueue,
  keys: Keys,
  id: string,
): Promise<WindowWait | undefined> {
  const { name, tag } = lane;
  const fields = await redis.hmget(jobKey(id), JOB_FIELDS.gate, JOB_FIELDS.agent, JOB_FIELDS.place);
  if (fields[0] !== 'cooldown') return undefined;
  const agent = fields[1] || null;
  const score = fields[2] ?? null;
  const calendar = await readCalendar({ redis, keys, tag, agent });
  const { seenAt, agentCount, silentCount, isNamedThere, cooldowns, closedUntilAt } = calendar;
  const lines = [...new Set([name, ...Object.keys(cooldowns)])];
  const lineOf = (each: string) => keys.line({ name: each, tag }, agent ?? undefined);
  const [rank, ...counts] = await Promise.all([
    redis.zscore(lineOf(name), id),
    ...lines.map((each) => (score === null ? 0 : redis.zcount(lineOf(each), '-inf', `(${score}`))),
  ]);
  const before = lines
    .map((each, place) => ({ lane: each, count: counts[place] ?? 0 }))
    .filter(({ count }) => count > 0);
  const ahead = before.reduce((sum, { count }) => sum + count, 0);
  const isThere = agent === null ? agentCount > 0 : isNamedThere;
  // Of a lane that no pod has made known, the dearest that is.
  const costMs = Number(cooldowns[name] ?? Math.max(0, ...Object.values(cooldowns).map(Number)));
  const decides = isThere ? (agent ?? calendar.nextAgent) : null;
  const opening = decides === null ? null : await readOpening(redis, keys.agent(tag, decides), decides);
  const silentSinceAt = agent === null ? null : (opening?.silentSinceAt ?? null);
  const free = agent === null ? calendar.opensAt : [opening?.opensAt ?? Number.POSITIVE_INFINITY];
  // Who acts now comes round when its act is over, and that costs what one of this lane does: a guess, as all of it.
  const opens = free.map((at) => (at === Number.POSITIVE_INFINITY ? seenAt + costMs : Math.max(at, seenAt)));
  opens.sort((a, b) => a - b);
  const round = Math.floor(ahead / Math.max(1, opens.length));
  const estimateAt = (opens[ahead % Math.max(1, opens.length)] ?? seenAt) + round * costMs;
  return {
    upstream: tag,
    agent,
    isThere,
    seenAt,
    place: rank === null ? null : ahead + 1,
    untilAt: isThere && silentSinceAt === null ? Math.ceil(Math.max(estimateAt, closedUntilAt ?? 0)) : null,
    before,
    agentCount,
    silentCount,
    silentSinceAt,
    opening,
    closedUntilAt,
  };
}

interface Asked {
  redis: LaneQueue['redis'];
  keys: Keys;
  tag: string;
  agent: string | null;
}

/** One instant of it. Windows, idle and acting hold each agent once, so it grows with the agents and not with what waits. */
async function readCalendar({ redis, keys, tag, agent }: Asked) {
  const ours = keys.upstream(tag);
  // A named one is asked for by itself.
  const last = agent === null ? '-1' : '0';
  const replies = await redis
    .multi()
    .time()
    .hlen(keys.agents(tag))
    .hexists(keys.agents(tag), agent ?? '')
    .hgetall(`${ours}agent-lanes`)
    .hget(`${ours}agent-state`, 'closed')
    .zrange(keys.windows(tag), '0', last, 'WITHSCORES')
    .zrange(`${ours}idle`, '0', last, 'WITHSCORES')
    .zcard(`${ours}acting`)
    .zcard(`${ours}silent`)
    .exec();
  const [time, registeredCount, isThere, cooldowns, closed, windows, idle, actingCount, silentCount] = (
    replies ?? []
  ).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  }) as [string[], number, number, Record<string, string>, string | null, string[], string[], number, number];
  // Rounded as the openings are: what is open by Redis is open here.
  const seenAt = Number(time[0]) * 1_000 + Math.ceil(Number(time[1]) / 1_000);
  const names = [...windows, ...idle].filter((_, place) => place % 2 === 0);
  const opensAt = [...windows, ...idle].filter((_, place) => place % 2 === 1).map(Number);
  const soonest = opensAt.indexOf(Math.min(...opensAt));
  return {
    seenAt,
    agentCount: registeredCount - silentCount,
    silentCount,
    isNamedThere: isThere === 1,
    cooldowns,
    closedUntilAt: Number(closed) > seenAt ? Math.ceil(Number(closed)) : null,
    nextAgent: names[soonest] ?? null,
    opensAt: [...opensAt, ...Array.from({ length: actingCount }, () => Number.POSITIVE_INFINITY)],
  };
}

async function readOpening(redis: LaneQueue['redis'], key: string, agent: string): Promise<Opening> {
  const { next, last, source, reason, silent, token, lane = '', job = '', pod = '' } = await redis.hgetall(key);
  const toAt = (text: string | undefined) => (text === undefined ? null : Math.ceil(Number(text)));
  const isActing = token !== undefined;
  return {
    agent,
    opensAt: isActing ? null : toAt(next),
    lastAt: toAt(last),
    source: source || null,
    reason: reason || null,
    silentSinceAt: toAt(silent),
    acting: isActing ? { lane, job, pod } : null,
  };
}

export function sayWindowWait({ upstream, agent, isThere, seenAt, closedUntilAt, ...wait }: WindowWait): string {
  if (!isThere && agent !== null)
    return `agent ${agent} is not registered with ${upstream}: ${sayAdd(upstream, agent)}`;
  const { opening, agentCount, silentCount, silentSinceAt, place, before } = wait;
  if (!isThere && silentCount > 0)
    return `all agents of ${upstream} are silent (${silentCount}): they act when they register again, or: ${sayAdd(upstream, 'NAME')}`;
  if (!isThere) return `${upstream} has no agents: ${sayAdd(upstream, 'NAME')}`;
  if (silentSinceAt !== null)
    return `agent ${agent} is silent since ${toInstant(silentSinceAt)}: it acts when it registers again, or: ${sayAdd(upstream, agent ?? 'NAME')}`;
  const parts: string[] = [];
  if (closedUntilAt !== null) {
    parts.push(`what was known of ${upstream}'s agents was lost, and nobody acts before all is in order`);
  }
  parts.push(opening ? sayDecides(opening, agent !== null, seenAt) : sayAllAct(agentCount));
  if (place !== null) {
    const lanes = before.length > 1 ? ` (${before.map(({ lane, count }) => `${lane} ${count}`).join(', ')})` : '';
    parts.push(`${place - 1} ahead of it${lanes}`);
  }
  return parts.join('; ');
}

function sayDecides(opening: Opening, isNamed: boolean, seenAt: number): string {
  const { agent, opensAt, acting } = opening;
  if (acting) return `agent ${agent} acts now: ${acting.lane} ${acting.job} on ${acting.pod}`;
  if (opensAt === null) return `what was known of agent ${agent} was lost: it waits for the longest cooldown`;
  const cause = opensAt > seenAt ? sayCause(opening) : null;
  const who = isNamed || opensAt <= seenAt ? `agent ${agent}` : `the next is agent ${agent}: it`;
  return `${who} ${sayOpening(opensAt, seenAt)}${cause ? ` (${cause})` : ''}`;
}

function sayAllAct(count: number): string {
  return count === 1 ? 'its only agent acts now' : `all ${count} agents act now`;
}
