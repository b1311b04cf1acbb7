// What doctor checks of the limits: whether pods agree on them, and which orders and holds are in force.

import { sayClosed, sayDrift, sayHold, sayOverride } from '../../../path/limit-lines.ts';
import type { LimitsSeen } from '../../../path/limit-look.ts';
import { type Finding, ok, warn } from './finding.ts';

export function checkLimits(upstreams: readonly LimitsSeen[]): Finding[] {
  const limited = upstreams.filter(({ limits, unused }) => limits.length > 0 || unused.length > 0);
  if (limited.length === 0) return [];
  const findings = limited.flatMap((seen) => [...driftsOf(seen), ...ordersOf(seen), ...holdsOf(seen)]);
  if (findings.length > 0) return findings;
  return [ok('limits', `as defined, and nothing is held: ${limited.map(({ upstream }) => upstream).join(', ')}`)];
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
  const todo = `it ends by itself: lanekeeper limits ${seen.upstream}`;
  return [sayClosed(seen), sayHold(seen)].flatMap((says) =>
    says === undefined ? [] : [warn('limits', `${seen.upstream}: ${says}`, todo)],
  );
}
