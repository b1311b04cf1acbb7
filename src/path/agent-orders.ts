// Orders about an upstream's agents while everything runs: register one, take it away, keep it from acting before an instant, or let
// it act now. Every pod hears of it at once, and the journal keeps by whom and why. No order loses a job: one that waits for an agent
// that was taken away stays parked, and says so.

import type { AgentOrder, Calendar } from '../store/calendar/calendar.ts';
import type { Redis } from '../store/connect.ts';
import { redisNow } from '../store/redis-now.ts';
import { DURATION_FORM, toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import { INSTANT_FORM, toEpochMs } from '../words/instant.ts';
import type { Keys } from '../words/keys.ts';
import { sayAdd } from './agent-lines.ts';
import { countWaiting } from './agent-look.ts';
import { AGENT_FORM, isAgentName } from './envelope.ts';
import { toReason } from './reason.ts';

export interface AgentOrders {
  calendar: Calendar;
  redis: Redis;
  keys: Keys;
  upstream: string;
  /** Of the folder, that act as its agents: they may have no pod yet. */
  lanes: readonly string[];
  who: string;
}

export interface AgentChange {
  upstream: string;
  agent: string;
  order: AgentOrder['what'];
  /** False: it was registered before and not silent; this was a sign of life, and its metadata is replaced. */
  isChanged: boolean;
  /** Instants of its window, by Redis; null where it has or had none. */
  beforeAt: number | null;
  afterAt: number | null;
  orderedAt: number;
  /** An act of it is under way, which goes on and costs what it costs. */
  isActing: boolean;
  /** Jobs that wait for this agent and no other. */
  waiting: number;
}

/** Of an agent; it is read with every look at them. */
const MAX_META = 4_096;
const META_FORM = `what JSON can say, at most ${MAX_META} bytes of it`;
const MAX_NAMED = 10;
/** While nothing stirs, pods look once a second. */
const MIN_HEARTBEAT_MS = 1_000;

export async function addAgent(
  orders: AgentOrders,
  agent: unknown,
  meta: unknown,
  reason: unknown = null,
  promise: unknown = {},
) {
  const text = meta === undefined ? undefined : toMetaText(meta);
  const order = { what: 'add', agent: toAgent(agent), meta: text, heartbeatMs: toHeartbeatMs(promise) } as const;
  return give(orders, { ...order, reason: toOwnReason(reason) });
}

export async function removeAgent(orders: AgentOrders, agent: unknown, reason: unknown = null) {
  return give(orders, { what: 'remove', agent: toAgent(agent), reason: toOwnReason(reason) });
}

/** It acts no sooner. Where its window opens later anyway that stays: only clearing lets it act sooner. */
export async function markAgent(orders: AgentOrders, agent: unknown, until: unknown, reason: unknown) {
  const order = { what: 'mark', agent: toAgent(agent), reason: toReason(reason), source: 'operator' } as const;
  // A number is an instant.
  const forMs = typeof until === 'string' ? toDurationMs(until) : undefined;
  const instantAt = toEpochMs(until);
  if (instantAt === undefined && forMs === undefined) {
    throw wrongOption('LK_INPUT', 'until', `${INSTANT_FORM}, or ${DURATION_FORM}`, until);
  }
  const nowAt = await redisNow(orders.redis);
  const untilAt = instantAt ?? nowAt + (forMs ?? 0);
  if (untilAt <= nowAt) {
    throw wrongOption('LK_INPUT', 'until', 'an instant that is to come (to let it act now, clear it)', until);
  }
  return give(orders, { ...order, untilAt });
}

export async function clearAgent(orders: AgentOrders, agent: unknown, reason: unknown) {
  return give(orders, { what: 'clear', agent: toAgent(agent), reason: toReason(reason), source: 'operator' });
}

async function give(orders: AgentOrders, order: Omit<AgentOrder, 'by'> & { reason: string }): Promise<AgentChange> {
  const { calendar, redis, keys, upstream, who } = orders;
  const { agent, what } = order;
  // A service may register its agents again and again: what changed nothing is not journalled.
  const reply = await calendar.change({ ...order, by: who });
  if (reply.kind === 'unknown') throw await unknownAgent(orders, agent);
  const isChanged = reply.kind === 'changed';
  const [state, orderedAt, cooldowns] = await Promise.all([
    redis.hmget(keys.agent(upstream, agent), 'next', 'token'),
    redisNow(redis),
    redis.hkeys(`${keys.upstream(upstream)}agent-lanes`),
  ]);
  const standing = { before: toAt(state[0]), after: toAt(state[0]) };
  const { before: beforeAt, after: afterAt } =
    reply.kind === 'changed' ? { before: toAt(reply.before), after: toAt(reply.after) } : standing;
  const lanes = [...new Set([...cooldowns, ...orders.lanes])];
  const [waiting = 0] = await countWaiting(redis, keys, upstream, lanes, [agent]);
  const isActing = state[1] !== null;
  return { upstream, agent, order: what, isChanged, beforeAt, afterAt, orderedAt, isActing, waiting };
}

/** Redis keeps fractions. */
function toAt(instant: string | number | null | undefined): number | null {
  return instant === null || instant === undefined ? null : Math.floor(Number(instant));
}

async function unknownAgent({ redis, keys, upstream }: AgentOrders, agent: string): Promise<LanekeeperError> {
  const names = await redis.hkeys(keys.agents(upstream));
  return new LanekeeperError(
    'LK_UNKNOWN',
    `upstream ${quote(upstream)} has no agent ${quote(agent)}: expected ${sayKnown(names)}; to register it: ${sayAdd(upstream, agent)}`,
  );
}

/** 'one of a01, a02 and 30 more', or that there are none. */
export function sayKnown(names: readonly string[]): string {
  if (names.length === 0) return 'a registered one, but there are none';
  const shown = [...names].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).slice(0, MAX_NAMED);
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : '';
  return `one of ${shown.join(', ')}${more}`;
}

function toAgent(value: unknown): string {
  if (isAgentName(value)) return value;
  throw wrongOption('LK_INPUT', 'agent', AGENT_FORM, value);
}

/** As text: Lua's JSON rounds numbers and knows no empty list. */
function toMetaText(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // A circle, a bigint, a getter that throws: none of it is JSON.
  }
  if (typeof text !== 'string' || Buffer.byteLength(text) > MAX_META) {
    throw wrongOption('LK_INPUT', 'meta', META_FORM, value);
  }
  return text;
}

function toHeartbeatMs(promise: unknown): number | undefined {
  const isObject = typeof promise === 'object' && promise !== null;
  if (!isObject || Object.keys(promise).some((key) => key !== 'heartbeat')) {
    throw wrongOption('LK_INPUT', 'add', "{ heartbeat: '30s' } or nothing after metadata", promise);
  }
  const { heartbeat } = promise as { heartbeat?: unknown };
  const heartbeatMs = toDurationMs(heartbeat);
  if (heartbeat === undefined || (heartbeatMs ?? 0) >= MIN_HEARTBEAT_MS) return heartbeatMs;
  throw wrongOption('LK_INPUT', 'heartbeat', `${DURATION_FORM}, at least '1s'`, heartbeat);
}

function toOwnReason(value: unknown): string {
  return value === null ? '' : toReason(value);
}
