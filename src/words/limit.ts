// What a limit is: so many at once, or so many requests or tokens in every interval of a length; for all, or for each agent.

import { formatDuration, toDurationMs } from './duration.ts';

export type LimitKind = 'concurrent' | 'count' | 'tokens';

export interface Limit {
  /** How people and metrics call it: 'concurrent', 'per-1m', 'tokens-per-1m', each also '…-by-agent'. */
  readonly name: string;
  readonly kind: LimitKind;
  readonly size: number;
  /** 0 when it is concurrent. */
  readonly perMs: number;
  readonly byAgent: boolean;
}

/** Which code keeps the limits: our scripts, or Bottleneck on the same Redis. */
export const LIMIT_DRIVERS = ['scripts', 'bottleneck'] as const;
export type LimitDriverName = (typeof LIMIT_DRIVERS)[number];

/** An upstream's limits, all of which must allow. */
export interface LimitPlan {
  readonly driver: LimitDriverName;
  readonly limits: readonly Limit[];
  /** How long a request may take from the pod to the upstream: until then it counts as not yet arrived. */
  readonly travelMs: number;
}

export function limitName(kind: LimitKind, perMs: number, byAgent: boolean): string {
  // Two limits never have one name: where the readable text would say less than the whole length, milliseconds say it.
  const text = formatDuration(perMs);
  const per = toDurationMs(text) === perMs ? text : `${perMs}ms`;
  const what = kind === 'concurrent' ? kind : `${kind === 'tokens' ? 'tokens-' : ''}per-${per}`;
  return byAgent ? `${what}-by-agent` : what;
}
