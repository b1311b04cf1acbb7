// The judge: what a log of requests proves, by rules, without tolerance. Pure: it reads no clock and knows no server.
//
// Everything that arrived counts, refused or not. With `countRefused: false` a refused request counts towards no limit and
// restarts no cooldown, but one that comes too early is still convicted of that: being turned away is no defence.
// `fromAt` and `untilAt` narrow whose arrivals are judged; what came before still counts towards what they are judged by.

import { createDocket } from './docket.ts';
import { judgeCooldown } from './judge-cooldown.ts';
import { judgeEffects, judgeFences } from './judge-effects.ts';
import { judgeLimit } from './judge-limit.ts';
import { describeLimit, isRate, type Limit } from './limits.ts';
import type { RequestRecord } from './record.ts';
import { parseRules, type RulesInput } from './rules.ts';
import { summarize } from './summary.ts';
import type { Gap, Interval, Verdict } from './verdict.ts';

/** Terms that held from an instant on, until the next ones did. */
export interface Era {
  readonly fromAt: number;
  readonly limits: readonly Limit[];
  readonly cooldown: number | null;
  readonly cooldownOn: 'all' | 'writes';
  readonly countRefused: boolean;
}

/** `dropped`: how many of the oldest records are no longer there. */
export function judge(records: readonly RequestRecord[], rules: RulesInput = {}, dropped = 0): Verdict {
  return judgeEras(records, rules, [], dropped);
}

/** Judges each arrival by the terms in force when it came, then everything by `rules`. */
export function judgeEras(
  records: readonly RequestRecord[],
  rules: RulesInput,
  eras: readonly Era[],
  dropped = 0,
): Verdict {
  const common = parseRules(rules);
  const log = inOrder(records.filter((record) => record.counted !== false));
  const docket = createDocket();
  const intervals = new Map<string, Interval>();
  let gap: Gap | null = null;

  const spans = eras.map((era, index) => ({
    ...common,
    ...era,
    fromAt: Math.max(common.fromAt, era.fromAt),
    untilAt: Math.min(common.untilAt, eras[index + 1]?.fromAt ?? Infinity),
  }));
  for (const terms of [...spans, common]) {
    const weighed = terms.countRefused ? log : log.filter((record) => record.refusedBy === null);
    for (const limit of terms.limits) {
      const max = judgeLimit(weighed, limit, terms, docket);
      const name = describeLimit(limit);
      if (isRate(limit)) {
        intervals.set(name, { terms: name, allowed: limit.count, max: Math.max(max, intervals.get(name)?.max ?? 0) });
      }
    }
    if (terms.cooldown !== null) gap = smaller(gap, judgeCooldown(log, terms, docket));
  }
  gap ??= judgeCooldown(log, common, docket); // no cooldown to judge by: only how small it was
  if (common.fence) judgeFences(common.countRefused ? log : log.filter((r) => r.refusedBy !== 'fence'), common, docket);
  judgeEffects(log, common, docket);
  if (dropped > 0) {
    const detail = `the ${dropped} oldest requests are no longer in the log: nothing can be sworn about them`;
    docket.convict('record', 'whole log', () => ({ at: 0, agent: null, detail, records: [] }));
  }
  return { ...docket.close(), summary: summarize(log, [...intervals.values()], gap) };
}

function smaller(a: Gap | null, b: Gap | null): Gap | null {
  if (!a || !b) return a ?? b;
  return (b.gapMs ?? -Infinity) < (a.gapMs ?? -Infinity) ? b : a;
}

/** By arrival, then by number. A live log is already so, and sorting 200,000 is the dearest step. */
function inOrder(records: RequestRecord[]): RequestRecord[] {
  const before = (a: RequestRecord, b: RequestRecord) => a.arrivedAt - b.arrivedAt || a.n - b.n;
  const isSorted = records.every((record, index) => index === 0 || before(records[index - 1]!, record) <= 0);
  return isSorted ? records : records.sort(before);
}
