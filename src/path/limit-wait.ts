// Whether an upstream's limits are why a job waits, and then until when and behind whom.

import { sayClosed, sayHold, sayUse, some } from './limit-lines.ts';
import type { LimitSeen, LimitsSeen } from './limit-look.ts';

export interface LimitWait {
  upstream: string;
  /** Those that are full; when none is, and permits are waited for all the same (an estimate of tokens may not fit), all. */
  limits: LimitSeen[];
  hold: LimitsSeen['hold'];
  closedUntilAt: number | null;
  /** Other lanes that wait for permits longer than its lane does; all that wait, when its lane does not (yet). */
  lanesBefore: string[];
}

export function findLimitWait(seen: LimitsSeen, lane: string): LimitWait | undefined {
  const { upstream, hold, closedUntilAt, waiting } = seen;
  const full = seen.limits.filter(({ inUse, size }) => inUse >= size);
  const mine = waiting.findIndex((wait) => wait.lane === lane);
  if (full.length === 0 && !hold && closedUntilAt === null && mine < 0) return undefined;
  const before = waiting.slice(0, mine < 0 ? waiting.length : mine).map((wait) => wait.lane);
  const isNamed = full.length > 0 || hold || closedUntilAt !== null;
  const limits = isNamed ? full : seen.limits;
  return { upstream, limits, hold, closedUntilAt, lanesBefore: [...new Set(before)] };
}

/** Of a job that was sent away, whose instant it was told: how the limits stand now that are taken with a job. */
export function findParkedWait(seen: LimitsSeen): LimitWait {
  const { upstream, hold, closedUntilAt } = seen;
  const limits = seen.limits.filter(({ kind, byAgent, inUse }) => (kind === 'tokens' || byAgent) && inUse > 0);
  return { upstream, limits, hold, closedUntilAt, lanesBefore: [] };
}

/** An instant only where there is one: when a permit comes free, nobody knows who gets it. */
export function untilOf({ hold, closedUntilAt }: LimitWait): number | null {
  const instants = [hold?.untilAt, closedUntilAt].filter((at) => typeof at === 'number');
  return instants.length > 0 ? Math.max(...instants) : null;
}

/** `place` is that in its lane's line. */
export function sayLimitWait(seen: LimitsSeen, { limits, lanesBefore }: LimitWait, place: number | null): string {
  const held = [sayClosed(seen), sayHold(seen)].filter((line) => line !== undefined);
  const parts = [...held, ...limits.map(sayUse)];
  if (place !== null) parts.push(`${place - 1} ahead of it in its lane`);
  if (lanesBefore.length > 0) parts.push(`lanes that wait before its own: ${some(lanesBefore)}`);
  return parts.join('; ');
}
