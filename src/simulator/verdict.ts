// A verdict: what the judge found, and how it reads to a person at 3 a.m.

import { toInstant } from '../words/clock.ts';
import { exactDuration } from './limits.ts';
import type { Outcome, Refusal } from './record.ts';

export const RULES = ['concurrent', 'rate', 'cooldown', 'fence', 'effect', 'record'] as const;
export type RuleName = (typeof RULES)[number];

export interface Conviction {
  readonly rule: RuleName;
  /** The terms that were broken, such as '60 per 1m by agent'. */
  readonly terms: string;
  /** Arrival of the request that broke them, epoch ms; 0 when no single request did. */
  readonly at: number;
  readonly agent: string | null;
  readonly detail: string;
  /** Numbers of the requests that together prove it, the one that broke the terms last; at the most the newest 1,000. */
  readonly records: readonly number[];
}

export interface Interval {
  readonly terms: string;
  readonly allowed: number;
  /** The most arrivals in any half-open interval of that length. */
  readonly max: number;
}

export interface Gap {
  readonly agent: string;
  /** From its last answer to its next arrival. Negative: it came before the answer. Null: the answer never came. */
  readonly gapMs: number | null;
  readonly records: readonly [number, number];
}

export interface Summary {
  readonly requests: number;
  /** Still under way. */
  readonly open: number;
  readonly agents: number;
  /** Requests no rule by agent could weigh, because they named none. */
  readonly withoutAgent: number;
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly maxConcurrent: number;
  readonly maxConcurrentByAgent: { readonly agent: string; readonly count: number } | null;
  readonly intervals: readonly Interval[];
  readonly smallestGap: Gap | null;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly byOutcome: Readonly<Partial<Record<Outcome, number>>>;
  readonly byRefusal: Readonly<Partial<Record<Refusal, number>>>;
  readonly effects: number;
  readonly replayed: number;
}

export interface Verdict {
  /** Nothing was found, and nothing was missing from what was looked at. */
  readonly clean: boolean;
  /** Every offence, also those beyond the ones described. */
  readonly total: number;
  readonly counts: Readonly<Partial<Record<RuleName, number>>>;
  /** In order of time, the first hundred for each term. */
  readonly convictions: readonly Conviction[];
  readonly summary: Summary;
}

export function describeVerdict(verdict: Verdict): string {
  const { summary, convictions } = verdict;
  const counts = Object.entries(verdict.counts).map(([rule, count]) => `${rule} ${count}`);
  const lines = [verdict.clean ? 'CLEAN: no rule was broken' : `CONVICTED: ${verdict.total} (${counts.join(', ')})`];
  for (const one of convictions) {
    const when = one.at > 0 ? `${toInstant(one.at)} ` : '';
    lines.push(`  ${when}${one.rule} [${one.terms}] ${one.detail}${listRecords(one.records)}`);
  }
  if (verdict.total > convictions.length) lines.push(`  and ${verdict.total - convictions.length} more`);
  lines.push(
    `requests ${summary.requests}${summary.open > 0 ? `, ${summary.open} still open` : ''}; effects ${summary.effects}, replayed ${summary.replayed}`,
    `agents ${summary.agents}; requests without an agent ${summary.withoutAgent}`,
    `most at once ${summary.maxConcurrent}${describeBusiest(summary)}`,
    ...summary.intervals.map(({ terms, max }) => `most arrivals against ${terms}: ${max}`),
    `smallest gap ${describeGap(summary.smallestGap)}`,
    `by status ${listCounts(summary.byStatus)}; by end ${listCounts(summary.byOutcome)}; refused ${listCounts(summary.byRefusal)}`,
  );
  return lines.join('\n');
}

function listRecords(records: readonly number[]): string {
  if (records.length === 0) return '';
  const shown = records.length > 6 ? [...records.slice(0, 3), '…', ...records.slice(-2)] : records;
  return ` (${shown.map((n) => (n === '…' ? n : `#${n}`)).join(' ')})`;
}

function describeBusiest({ maxConcurrentByAgent: busiest }: Summary): string {
  return busiest ? `, most of one agent ${busiest.count} (${busiest.agent})` : '';
}

function describeGap(gap: Gap | null): string {
  if (!gap) return 'none: no agent came twice';
  const pair = `(${gap.agent}, #${gap.records[0]} #${gap.records[1]})`;
  if (gap.gapMs === null) return `none: a second request while the first was never answered ${pair}`;
  return gap.gapMs < 0 ? `none: ${-gap.gapMs}ms before the answer ${pair}` : `${exactDuration(gap.gapMs)} ${pair}`;
}

function listCounts(counts: Readonly<Record<string, number | undefined>>): string {
  const entries = Object.entries(counts);
  return entries.length > 0 ? entries.map(([name, count]) => `${name}: ${count}`).join(', ') : 'none';
}
