// Orders that change an upstream's limits while everything runs: set one to a size, with or without an end, or go back to what
// the definitions say. An order outlives deploys; every pod hears of it at once, parked jobs that have more room come, and the journal
// keeps by whom and why.

import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { releaseHold } from '../store/scripts/release-hold.ts';
import { setLimit as writeLimit } from '../store/scripts/set-limit.ts';
import { DURATION_FORM, toDurationMs } from '../words/duration.ts';
import { LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import { callForHold, callForLimit } from './limit-call.ts';
import { type LimitSeen, lookAtLimits } from './limit-look.ts';
import { toOrderedSize } from './limit-size.ts';
import type { LimitedLane } from './limit-wait.ts';
import type { Upstream } from './upstream.ts';

export interface LimitOrder {
  redis: Redis;
  keys: Keys;
  upstream: Upstream;
  /** Of the lanes that name it: what is parked there for a limit that becomes larger is called. */
  queues: readonly LaneQueue[];
  /** Those lanes: none may be stopped by a limit that is too small for its attempts. */
  lanes: readonly LimitedLane[];
  who: string;
  reason: string;
}

export interface LimitChange {
  upstream: string;
  limit: string;
  /** Sizes in force; null for an order that stood for a limit which nobody defines. */
  before: number | null;
  after: number | null;
  definedSize: number | null;
  untilAt: number | null;
  /** As seen right after. More than `after`: nothing is granted until it has drained. */
  inUse: number;
  /** So many parked jobs come before they were told. */
  called: number;
}

export interface HoldReleased {
  upstream: string;
  /** For so long nobody would have been let through. */
  leftMs: number;
  /** The pod that told of it, and what the upstream had said. */
  toldBy: string | null;
  told: string | null;
  /** So many parked jobs come before they were told. */
  called: number;
}

export async function setLimit(
  order: LimitOrder,
  limit: string,
  wanted: { size: unknown; for?: unknown },
): Promise<LimitChange> {
  const { redis, keys, upstream } = order;
  const known = await findLimits(order);
  const seen = known.limits.find((one) => one.limit === limit);
  if (!seen) throw unknownLimit(upstream, limit, known.limits);
  const size = toOrderedSize(known, seen, order.lanes, wanted.size);
  const forMs = wanted.for === undefined ? '' : toForMs(wanted.for);
  const { before, after, defined } = await write(order, limit, { size, forMs, definedSize: seen.definedSize });
  const definedSize = defined?.size ?? seen.definedSize;
  const change = { limit, before: before?.size ?? definedSize, after: size, untilAt: after?.untilAt ?? null };
  const now = await lookAtLimits(redis, keys, upstream);
  const { inUse = 0 } = now.limits.find((one) => one.limit === limit) ?? {};
  const called = await call(order, seen, change);
  return { upstream: upstream.name, definedSize, inUse, called, ...change };
}

/** Of one limit, or of all. Empty when none was changed by order. */
export async function resetLimit(order: LimitOrder, limit?: string): Promise<LimitChange[]> {
  const { upstream } = order;
  const { limits, unused } = await findLimits(order);
  const names = [...limits, ...unused].map((one) => one.limit);
  if (limit !== undefined && !names.includes(limit)) throw unknownLimit(upstream, limit, limits);
  const changes: LimitChange[] = [];
  for (const name of limit === undefined ? names : [limit]) {
    const seen = limits.find((one) => one.limit === name);
    const { before, defined } = await write(order, name, {
      size: '',
      forMs: '',
      definedSize: seen?.definedSize ?? null,
    });
    if (!before) continue;
    const definedSize = defined?.size ?? seen?.definedSize ?? null;
    const change = { upstream: upstream.name, limit: name, before: before.size, after: definedSize };
    const called = await call(order, seen, change);
    changes.push({ ...change, definedSize, untilAt: null, inUse: seen?.inUse ?? 0, called });
  }
  return changes;
}

/** Ends what an upstream's answer began: all pods ask again at once. */
export async function releaseLimits(order: LimitOrder): Promise<HoldReleased> {
  const { redis, keys, upstream, queues, who, reason } = order;
  const name = upstream.name;
  const at = { limits: keys.limits(name), journal: keys.journal(name) };
  const known = JSON.stringify({ upstream: name, reason });
  const released = await releaseHold.run(redis, at, { channel: keys.limitNotice(name), who, known });
  if (!released) {
    throw new LanekeeperError(
      'LK_STATE',
      `upstream ${quote(name)} is not held: expected a hold to end, found none; see 'lanekeeper limits ${name}'`,
    );
  }
  const { leftMs, who: toldBy, reason: told } = released;
  return { upstream: name, leftMs, toldBy, told, called: await callForHold(queues) };
}

/** Limits that a pod takes before it fetches park nobody: it hears of the order itself. */
async function call(
  { upstream, queues }: LimitOrder,
  seen: LimitSeen | undefined,
  { before, after }: Pick<LimitChange, 'before' | 'after'>,
): Promise<number> {
  const isLarger = before !== null && after !== null && after > before;
  if (!seen || !isLarger || (seen.kind !== 'tokens' && !seen.byAgent)) return 0;
  return callForLimit({ queues, upstream: upstream.name, limit: seen.limit });
}

function write(
  { redis, keys, upstream, who, reason }: LimitOrder,
  limit: string,
  { size, forMs, definedSize }: { size: number | ''; forMs: number | ''; definedSize: number | null },
) {
  const { name } = upstream;
  const known = JSON.stringify({ upstream: name, limit, reason });
  return writeLimit.run(
    redis,
    { limits: keys.limits(name), journal: keys.journal(name) },
    { limit, size, who, reason, forMs, notice: keys.limitNotice(name), known, defined: definedSize ?? '' },
  );
}

async function findLimits({ redis, keys, upstream }: LimitOrder) {
  const seen = await lookAtLimits(redis, keys, upstream);
  if (seen.limits.length > 0 || seen.unused.length > 0) return seen;
  throw new LanekeeperError('LK_UNKNOWN', `upstream ${quote(upstream.name)} has no limits: its definition names none`);
}

function unknownLimit(upstream: Upstream, limit: string, known: readonly LimitSeen[]): LanekeeperError {
  const names = known.map((one) => one.limit).join(', ') || 'none';
  return new LanekeeperError(
    'LK_UNKNOWN',
    `upstream ${quote(upstream.name)} has no limit ${quote(limit)}: expected one of ${names}`,
  );
}

function toForMs(value: unknown): number {
  const ms = toDurationMs(value);
  if (ms) return ms;
  throw wrongOption('LK_INPUT', 'for', `${DURATION_FORM}, more than 0 and at most '36500d'`, value);
}
