// Whether an upstream's limits are why a job waits, and then until when and behind whom.

import { formatDuration } from '../words/duration.ts';
import {
  SPLIT_TODO,
  sayClosed,
  sayHold,
  sayRelease,
  saySplit,
  sayTooSmall,
  sayUse,
  some,
  TOO_SMALL_TODO,
} from './limit-lines.ts';
import type { LimitSeen, LimitsSeen } from './limit-look.ts';

export interface LimitWait {
  upstream: string;
  /** Those that are full; when none is, and permits are waited for all the same (an estimate of tokens may not fit), all. */
  limits: LimitSeen[];
  hold: LimitsSeen['hold'];
  closedUntilAt: number | null;
  /** Pods have chosen different drivers, and those of one are granted nothing. */
  split: LimitsSeen['split'];
  /** Less than an attempt of its lane needs at once: it never runs. */
  tooSmall: LimitSeen | null;
  /** Other lanes that wait for permits longer than its lane does; all that wait, when its lane does not (yet). */
  lanesBefore: string[];
}

/** Its name, and what one attempt of it needs at once: of `concurrent`, and of tokens where that is always as many. */
export interface LimitedLane {
  readonly name: string;
  readonly requests: number;
  readonly tokens?: unknown;
}

export function findLimitWait(seen: LimitsSeen, lane: LimitedLane): LimitWait | undefined {
  const { upstream, hold, closedUntilAt, waiting, split } = seen;
  const full = seen.limits.filter(({ inUse, size }) => inUse >= size);
  const mine = waiting.findIndex((wait) => wait.lane === lane.name);
  const tooSmall = findTooSmall(seen, lane) ?? null;
  const isNamed = full.length > 0 || hold || closedUntilAt !== null || split || tooSmall;
  if (!isNamed && mine < 0) return undefined;
  const before = waiting.slice(0, mine < 0 ? waiting.length : mine).map((wait) => wait.lane);
  const limits = isNamed ? full : seen.limits;
  return { upstream, limits, hold, closedUntilAt, split, tooSmall, lanesBefore: [...new Set(before)] };
}

/** The limit of which an attempt needs more at once than there is. */
export function findTooSmall({ limits }: LimitsSeen, { requests }: LimitedLane): LimitSeen | undefined {
  return limits.find(({ kind, size }) => kind === 'concurrent' && size < requests);
}

/** Of a job that was sent away, whose instant it was told: how the limits stand now that are taken with a job. */
export function findParkedWait(seen: LimitsSeen): LimitWait {
  const { upstream, hold, closedUntilAt } = seen;
  const limits = seen.limits.filter(({ kind, byAgent, inUse }) => (kind === 'tokens' || byAgent) && inUse > 0);
  return { upstream, limits, hold, closedUntilAt, split: null, tooSmall: null, lanesBefore: [] };
}

/** An instant only where there is one: when a permit comes free, nobody knows who gets it. */
export function untilOf({ hold, closedUntilAt, tooSmall }: LimitWait): number | null {
  if (tooSmall) return null;
  const instants = [hold?.untilAt, closedUntilAt].filter((at) => typeof at === 'number');
  return instants.length > 0 ? Math.max(...instants) : null;
}

/** For who has just added it: 'waits for limit concurrent of forum, behind collect'. */
export function sayWaitShort(wait: LimitWait, { name, requests }: LimitedLane, nowAt: number): string {
  const { upstream, limits, lanesBefore, split, tooSmall } = wait;
  if (tooSmall) return sayTooSmall(name, requests, tooSmall);
  const untilAt = untilOf(wait);
  if (untilAt !== null) {
    return `${upstream} lets nobody through for ${formatDuration(Math.max(0, untilAt - nowAt))} more: it starts then at the soonest`;
  }
  if (split) return saySplit(split);
  const behind = lanesBefore.length > 0 ? `, behind ${some(lanesBefore)}` : '';
  return `waits for ${limits.length > 1 ? 'limits' : 'limit'} ${some(limits.map(({ limit }) => limit))} of ${upstream}${behind}`;
}

/** `place` is that in its lane's line. */
export function sayLimitWait(
  seen: LimitsSeen,
  { limits, lanesBefore, split, tooSmall }: LimitWait,
  lane: LimitedLane,
  place: number | null,
): string {
  const hold = sayHold(seen);
  const held = [
    tooSmall ? `${sayTooSmall(lane.name, lane.requests, tooSmall)}; ${TOO_SMALL_TODO}` : undefined,
    split ? `${saySplit(split)}; ${SPLIT_TODO}` : undefined,
    sayClosed(seen),
    hold && `${hold} (to end it: ${sayRelease(seen.upstream)})`,
  ].filter((line) => line !== undefined);
  const parts = [...held, ...limits.map(sayUse)];
  if (place !== null) parts.push(`${place - 1} ahead of it in its lane`);
  if (lanesBefore.length > 0) parts.push(`lanes that wait before its own: ${some(lanesBefore)}`);
  return parts.join('; ');
}
