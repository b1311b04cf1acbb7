// Judges cooldowns: the gap from an agent's last answer to its next arrival. Shorter convicts, equal does not; arriving while
// an earlier request of the agent is unanswered is the shortest gap of all. A request whose connection broke has its end
// instead of an answer.

import type { Docket } from './docket.ts';
import { exactDuration } from './limits.ts';
import { endedAt, isWrite, partByAgent, type RequestRecord } from './record.ts';
import { isWithin, type Rules } from './rules.ts';
import type { Gap } from './verdict.ts';

type Terms = Pick<Rules, 'cooldown' | 'cooldownOn' | 'countRefused' | 'fromAt' | 'untilAt'>;

/** The smallest gap there was. `log` is in order of arrival; refused requests are in it, whatever `countRefused` says. */
export function judgeCooldown(log: readonly RequestRecord[], terms: Terms, docket: Docket): Gap | null {
  const acts = terms.cooldownOn === 'writes' ? log.filter((record) => isWrite(record.method)) : log;
  let smallest: Gap | null = null;
  for (const own of partByAgent(acts)) {
    let last: RequestRecord | undefined;
    for (const record of own) {
      const gapMs = last ? record.arrivedAt - endedAt(last) : Infinity;
      if (last && isWithin(record.arrivedAt, terms)) {
        const gap = toGap(last, record, gapMs);
        if (!smallest || gapMs < (smallest.gapMs ?? -Infinity)) smallest = gap;
        if (terms.cooldown !== null && gapMs < terms.cooldown) convict(gap, record, terms.cooldown, docket);
      }
      // Not simply the one before: with several under way the last answer may be an older request's.
      if ((terms.countRefused || record.refusedBy === null) && (!last || endedAt(record) >= endedAt(last)))
        last = record;
    }
  }
  return smallest;
}

function toGap(last: RequestRecord, record: RequestRecord, gapMs: number): Gap {
  return {
    agent: record.agent!,
    gapMs: Number.isFinite(gapMs) ? gapMs : null, // JSON has no infinity
    records: [last.n, record.n],
  };
}

function convict(gap: Gap, record: RequestRecord, cooldownMs: number, docket: Docket): void {
  const terms = `cooldown ${exactDuration(cooldownMs)}`;
  docket.convict('cooldown', terms, () => ({
    at: record.arrivedAt,
    agent: gap.agent,
    detail:
      gap.gapMs === null || gap.gapMs < 0
        ? `${gap.agent} came while its request #${gap.records[0]} was unanswered`
        : `${gap.agent} came ${gap.gapMs}ms after its last answer, ${cooldownMs - gap.gapMs}ms too early`,
    records: gap.records,
  }));
}
