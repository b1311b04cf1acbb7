// To which size an order may set a limit: a number such as definitions take, and one that stops no lane, that other limits do not
// make meaningless, and that the driver can keep. What is wrong is told by name, with what to do instead.

import { LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import type { Limit } from '../words/limit.ts';
import type { LimitSeen, LimitsSeen } from './limit-look.ts';
import { isTighter, mostKept, sizeForm, toSize } from './limit-plan.ts';
import type { LimitedLane } from './limit-wait.ts';

export function toOrderedSize(
  seen: LimitsSeen,
  limit: LimitSeen,
  lanes: readonly LimitedLane[],
  wanted: unknown,
): number {
  const where = `limit ${quote(limit.limit)} of upstream ${quote(seen.upstream)}`;
  const size = toSize(limit.kind, wanted);
  if (size === undefined) {
    const instead = wanted === 0 ? ' (to let nothing through, pause its lanes)' : '';
    throw wrongOption('LK_INPUT', where, `${sizeForm(limit.kind)}${instead}`, wanted);
  }
  const complaint = stopsLanes(limit, lanes, size) ?? reachesNothing(seen, limit, size);
  if (complaint === undefined) return size;
  const { expected, advice } = complaint;
  throw new LanekeeperError('LK_INPUT', `${where}: expected ${expected}, got ${size}: ${advice}`);
}

interface Complaint {
  expected: string;
  advice: string;
}

/** A job takes all that it needs at once, or waits: with less than that it would wait for ever, and nobody would be told. */
function stopsLanes({ kind }: LimitSeen, lanes: readonly LimitedLane[], size: number): Complaint | undefined {
  const option = kind === 'tokens' ? 'tokens' : 'requests';
  const stopped = lanes.flatMap(({ name, [option]: needed }) =>
    kind !== 'count' && typeof needed === 'number' && needed > size ? [{ name, needed }] : [],
  );
  if (stopped.length === 0) return undefined;
  const most = Math.max(...stopped.map(({ needed }) => needed));
  const needs = stopped.map(({ name, needed }) => `${quote(name)} (${option}: ${needed})`).join(', ');
  return {
    expected: `at least ${most}, because that is what a job needs at once of lane ${needs}`,
    advice: `to stop a lane use pause, to run with less lower its ${option}`,
  };
}

/** Only where it is raised: any limit may be made the tightest. */
function reachesNothing({ driver, limits }: LimitsSeen, limit: LimitSeen, size: number): Complaint | undefined {
  if (size <= limit.size) return undefined;
  const tighter = limits.find((other) => isTighter(toLimit(other), { ...toLimit(limit), size }));
  if (tighter) {
    const expected = `at most ${tighter.size}, because '${tighter.limit}' lets no more through`;
    return { expected, advice: 'raise that one first' };
  }
  if (driver !== 'bottleneck' || limit.kind !== 'count' || size <= mostKept(limit.perMs)) return undefined;
  return {
    expected: `at most ${mostKept(limit.perMs)} with driver 'bottleneck', which cannot keep more`,
    advice: "use driver 'scripts'",
  };
}

function toLimit({ limit, kind, size, perMs, byAgent }: LimitSeen): Limit {
  return { name: limit, kind, size, perMs, byAgent };
}
