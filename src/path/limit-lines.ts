// An upstream's limits in words, one line per thing: `limits`, `why` and `doctor` say the same.

import { formatDuration } from '../words/duration.ts';
import type { Drift, DriverSplit } from './limit-definitions.ts';
import type { LimitSeen, LimitsSeen } from './limit-look.ts';

const MAX_NAMES = 5;

export function some(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}

/**
 * '3 of 3 concurrent are in use (publish on pod-1 2, collect on pod-2 1)'. Of tokens and by agent only what is under way has a
 * holder: '990 of 1000 tokens-per-1m are in use (40 under way: publish on pod-1 40)'.
 */
export function sayUse({ limit, inUse, size, agent, underWay, holders, byLane }: LimitSeen): string {
  const by = some(holders.length > 0 ? holders.map((h) => `${h.lane} on ${h.pod} ${h.count}`) : byLane.map(sayLane));
  const ofAgent = agent === null ? '' : ` of agent ${agent}`;
  const whose = underWay && underWay < inUse ? `${underWay} under way: ${by}` : by;
  return `${inUse} of ${size} ${limit} are in use${ofAgent}${whose === '' ? '' : ` (${whose})`}`;
}

export const START_OF_WAIT = "limit '";

/** What the reason begins with of a job that is parked for a limit taken with it; by this it is found again. */
export function startOfWait(limit: string, upstream: string): string {
  return `${START_OF_WAIT}${limit}' of ${upstream}:`;
}

export function sayLane({ lane, count }: LimitSeen['byLane'][number]): string {
  return `${lane} ${count}`;
}

export function sayOverride(
  { size, definedSize, override }: Pick<LimitSeen, 'size' | 'definedSize' | 'override'>,
  nowAt: number,
): string | undefined {
  if (!override) return undefined;
  const { who, reason, untilAt } = override;
  const instead = size === definedSize ? 'as defined' : `not ${definedSize}`;
  return `${size}, ${instead}, by order of ${who}${forMore(untilAt, nowAt)}: ${reason}`;
}

export function sayHold({ hold, seenAt }: LimitsSeen): string | undefined {
  if (!hold) return undefined;
  const by = hold.who === null ? '' : ` by ${hold.who}`;
  return `nobody is let through${forMore(hold.untilAt, seenAt)}, told${by}: ${hold.reason ?? 'no reason given'}`;
}

/** How a hold is ended by hand. */
export function sayRelease(upstream: string): string {
  return `lanekeeper limits ${upstream} reset hold --reason ...`;
}

/** 'driver scripts on p1 and bottleneck on p2: together they would let twice as much through, so p2 gets nothing until …'. */
export function saySplit({ granting, waiting }: DriverSplit): string {
  const [first, other] = [some(granting.pods), some(waiting.pods)];
  const gets = waiting.pods.length > 1 ? 'get' : 'gets';
  const drivers = `driver ${granting.driver} on ${first} and ${waiting.driver} on ${other}`;
  return `${drivers}: together they would let twice as much through, so ${other} ${gets} nothing until ${first} stopped`;
}

/** What to do about it. */
export const SPLIT_TODO = 'give all pods one driver and restart those that differ, or stop them';

/** A lane whose attempts need more at once than there is: it stands still, and no wait ends that. */
export function sayTooSmall(
  lane: string,
  requests: number,
  { limit, size }: Pick<LimitSeen, 'limit' | 'size'>,
): string {
  return `lane ${lane} needs ${requests} ${limit} at once (its requests), and ${size} is all there is: it never runs`;
}

export const TOO_SMALL_TODO = 'raise the limit, or lower requests of the lane';

export function sayClosed({ closedUntilAt, seenAt }: LimitsSeen): string | undefined {
  return closedUntilAt === null
    ? undefined
    : `what was in use is not known (a first start, a Redis that lost it, or the other driver kept it): nothing is granted${forMore(closedUntilAt, seenAt)}`;
}

export function sayDrift({ limit, sizes }: Drift): string {
  const groups = sizes.map(({ size, pods }) => `${size ?? 'none'} on ${some(pods)}`);
  return `${limit} is ${groups.join('; ')}: the stricter holds`;
}

function forMore(untilAt: number | null, nowAt: number): string {
  return untilAt === null ? ' until it is reset' : ` for ${formatDuration(Math.max(0, untilAt - nowAt))} more`;
}
