// What a limit is: so many requests at once, or so many arrivals in every interval of a length; overall or for each agent.
// The gate that enforces limits and the judge that convicts both read this one form.

import { DURATION_FORM, type Duration, formatDuration, toDurationMs } from '../words/duration.ts';
import { wrongOption } from '../words/errors.ts';

export interface ConcurrentLimit {
  readonly concurrent: number;
  readonly by?: 'agent';
}

export interface RateLimit {
  readonly count: number;
  /** As written, a duration; once parsed, ms. */
  readonly per: number;
  readonly by?: 'agent';
}

export type Limit = ConcurrentLimit | RateLimit;
export type LimitInput = ConcurrentLimit | (Omit<RateLimit, 'per'> & { readonly per: Duration });

export function isRate(limit: Limit): limit is RateLimit {
  return 'count' in limit;
}

const LIMIT_FORM = "{ concurrent: 3 } or { count: 60, per: '1m' }, optionally with by: 'agent'";

export function parseLimits(value: unknown, option: string): readonly Limit[] {
  if (!Array.isArray(value)) throw wrongOption('LK_INPUT', option, `a list of limits: ${LIMIT_FORM}`, value);
  return Object.freeze(value.map((limit, index) => parseLimit(limit, `${option}[${index}]`)));
}

function parseLimit(value: unknown, option: string): Limit {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongOption('LK_INPUT', option, LIMIT_FORM, value);
  }
  const { concurrent, count, per, by, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0 || (concurrent === undefined) === (count === undefined)) {
    throw wrongOption('LK_INPUT', option, LIMIT_FORM, value);
  }
  if (by !== undefined && by !== 'agent') throw wrongOption('LK_INPUT', `${option}.by`, "'agent' or nothing", by);
  const whose = by === undefined ? {} : { by: 'agent' as const };
  if (concurrent !== undefined) {
    if (per !== undefined) throw wrongOption('LK_INPUT', `${option}.per`, 'nothing beside concurrent', per);
    return Object.freeze({ concurrent: parseCount(concurrent, `${option}.concurrent`), ...whose });
  }
  const perMs = toDurationMs(per);
  if (!perMs) throw wrongOption('LK_INPUT', `${option}.per`, `${DURATION_FORM}, longer than none`, per);
  return Object.freeze({ count: parseCount(count, `${option}.count`), per: perMs, ...whose });
}

function parseCount(value: unknown, option: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw wrongOption('LK_INPUT', option, 'a whole number from 1 up', value);
}

export function describeLimit(limit: Limit): string {
  const what = isRate(limit) ? `${limit.count} per ${exactDuration(limit.per)}` : `${limit.concurrent} at once`;
  return limit.by === 'agent' ? `${what} by agent` : what;
}

/** Short where the short form says it all, else in ms: a judge's words are never rounded. */
export function exactDuration(ms: number): string {
  const text = formatDuration(ms);
  return toDurationMs(text) === ms ? text : `${ms}ms`;
}
