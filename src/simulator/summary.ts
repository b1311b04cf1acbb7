// What a log says without any rule: how many, how many at once, by whom, and how they ended.

import { judgeLimit } from './judge-limit.ts';
import { endedAt, partByAgent, type RequestRecord } from './record.ts';
import type { Gap, Interval, Summary } from './verdict.ts';

const WHOLE = { fromAt: -Infinity, untilAt: Infinity };

/** `log` is in order of arrival. */
export function summarize(
  log: readonly RequestRecord[],
  intervals: readonly Interval[],
  smallestGap: Gap | null,
): Summary {
  const agents = partByAgent(log);
  let busiest: { agent: string; count: number } | null = null;
  for (const own of agents) {
    const count = mostAtOnce(own);
    if (!busiest || count > busiest.count) busiest = { agent: own[0]!.agent!, count };
  }
  return {
    requests: log.length,
    open: log.filter((record) => endedAt(record) === Infinity).length,
    agents: agents.length,
    withoutAgent: log.filter((record) => record.agent === null).length,
    firstAt: log[0]?.arrivedAt ?? null,
    lastAt: log.at(-1)?.arrivedAt ?? null,
    maxConcurrent: mostAtOnce(log),
    maxConcurrentByAgent: busiest,
    intervals,
    smallestGap,
    byStatus: countBy(log, (record) => record.status),
    byOutcome: countBy(log, (record) => record.outcome),
    byRefusal: countBy(log, (record) => record.refusedBy),
    effects: log.filter((record) => record.effect).length,
    replayed: log.filter((record) => record.replayed).length,
  };
}

function mostAtOnce(log: readonly RequestRecord[]): number {
  return judgeLimit(log, { concurrent: Infinity }, WHOLE, null);
}

function countBy(
  log: readonly RequestRecord[],
  nameOf: (record: RequestRecord) => string | number | null,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const record of log) {
    const name = nameOf(record);
    if (name !== null) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
