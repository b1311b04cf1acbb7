// What doctor checks of the limits: whether pods agree on them, and which orders and holds are in force.

import {
  SPLIT_TODO,
  sayClosed,
  sayDrift,
  sayHold,
  sayOverride,
  sayRelease,
  saySplit,
  sayTooSmall,
  TOO_SMALL_TODO,
} from '../../../path/limit-lines.ts';
import type { LimitsSeen } from '../../../path/limit-look.ts';
import { findTooSmall, type LimitedLane } from '../../../path/limit-wait.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** A lane, and whose limits are its. */
type LaneOf = LimitedLane & { readonly upstream: { readonly name: string } | undefined };

export function checkLimits(upstreams: readonly LimitsSeen[], lanes: readonly LaneOf[] = []): Finding[] {
  const limited = upstreams.filter(({ limits, unused }) => limits.length > 0 || unused.length > 0);
  if (limited.length === 0) return [];
  const findings = limited.flatMap((seen) => {
    const own = lanes.filter(({ upstream }) => upstream?.name === seen.upstream);
    return [...splitOf(seen), ...stoppedBy(seen, own), ...driftsOf(seen), ...ordersOf(seen), ...holdsOf(seen)];
  });
  if (findings.length > 0) return findings;
  return [ok('limits', `as defined, and nothing is held: ${limited.map(({ upstream }) => upstream).join(', ')}`)];
}

function splitOf({ upstream, split }: LimitsSeen): Finding[] {
  return split ? [fail('limits', `pods differ: ${upstream} ${saySplit(split)}`, SPLIT_TODO)] : [];
}

function stoppedBy(seen: LimitsSeen, lanes: readonly LaneOf[]): Finding[] {
  return lanes.flatMap((lane) => {
    const limit = findTooSmall(seen, lane);
    return limit
      ? [fail('limits', `${seen.upstream}: ${sayTooSmall(lane.name, lane.requests, limit)}`, TOO_SMALL_TODO)]
      : [];
  });
}

function driftsOf({ upstream, drift }: LimitsSeen): Finding[] {
  const alike = 'let the roll-out end, or restart those that run the old one';
  return drift.map((one) => warn('limits', `pods differ: ${upstream} ${sayDrift(one)}`, alike));
}

function ordersOf({ upstream, limits, unused, seenAt }: LimitsSeen): Finding[] {
  const inForce = limits.flatMap((limit) => {
    const says = sayOverride(limit, seenAt);
    return says === undefined ? [] : [ok('limits', `${upstream} ${limit.limit} is ${says}`)];
  });
  const idle = unused.map(({ limit, who }) => {
    const says = `${upstream} has an order of ${who} for ${limit}, which no definition has`;
    return warn('limits', says, `end it: lanekeeper limits ${upstream} reset ${limit} --reason ...`);
  });
  return [...inForce, ...idle];
}

function holdsOf(seen: LimitsSeen): Finding[] {
  const { upstream } = seen;
  const lines: [string | undefined, string][] = [
    [sayClosed(seen), `it ends by itself: lanekeeper limits ${upstream}`],
    [sayHold(seen), `it ends by itself, or before: ${sayRelease(upstream)}`],
  ];
  return lines.flatMap(([says, todo]) => (says === undefined ? [] : [warn('limits', `${upstream}: ${says}`, todo)]));
}
