// When does the upstream listen again, and must everybody wait until then? Read from what it says in its headers: Retry-After,
// the RateLimit fields of the IETF drafts, and the x-ratelimit-* dialects.

import { toDurationMs } from '../words/duration.ts';
import type { FailureClass } from '../words/failure.ts';
import { toEpochMs } from '../words/instant.ts';

/** A monthly allowance is the longest that is known; what claims more is taken for a month, not for the end of the work. */
const MAX_HOLD_MS = 31 * 86_400_000;

export interface Hold {
  forMs: number;
  /** The headers that said so. */
  reason: string;
}

/** As a hold, but read only: a negative `forMs` is an instant that has passed. */
type Wait = Hold;

/** When the upstream will listen again, epoch ms; null when it did not say, or said nonsense. */
export function readRetryAfter(headers: Headers, nowAt: number): number | null {
  const wait = readAsked(headers, nowAt) ?? readSpent(headers, nowAt);
  return (wait && toEpochMs(nowAt + wait.forMs)) ?? null;
}

/** A limit that is kept on our side. */
export interface Kept {
  size: number;
  perMs: number;
}

export interface Answer {
  /** Null below 400. */
  class: FailureClass | null;
  headers: Headers;
  nowAt: number;
  kept?: readonly Kept[];
}

/**
 * For how long nobody may go on, if the answer says so. On a limit it counts what the upstream asked for (a 503's Retry-After
 * speaks of its health, a 202's of the job); on every answer, that nothing is left. A success that was the last of a limit we keep
 * ourselves is no news: we count it to the millisecond, and its reset in whole seconds would cost up to half of the allowance.
 */
export function readHold(answer: Answer): Hold | undefined {
  const { headers } = answer;
  const kept = answer.class === null ? answer.kept : undefined;
  // An instant is read by the upstream's own clock, as the answer tells it: this pod's may be an hour off.
  const nowAt = readInstant(headers.get('date')) ?? answer.nowAt;
  const isLimit = answer.class === 'rate-limit' || answer.class === 'quota';
  const wait =
    (isLimit ? readAsked(headers, nowAt) : undefined) ??
    readSpent(headers, nowAt, kept) ??
    (answer.class === 'quota' ? readQuotaReset(headers, nowAt) : undefined);
  if (!wait || !(wait.forMs > 0)) return undefined;
  return { forMs: Math.min(MAX_HOLD_MS, Math.ceil(wait.forMs)), reason: wait.reason };
}

function readAsked(headers: Headers, nowAt: number): Wait | undefined {
  const exactMs = toNumber(headers.get('retry-after-ms'));
  if (exactMs !== undefined) return toWait(exactMs, say(headers, 'retry-after-ms'), nowAt);
  const text = headers.get('retry-after');
  const seconds = toNumber(text);
  const at = readInstant(text);
  const forMs = seconds !== undefined ? seconds * 1_000 : at && at - nowAt;
  return toWait(forMs, say(headers, 'retry-after'), nowAt);
}

/** The longest wait among the limits of which nothing is left. */
function readSpent(headers: Headers, nowAt: number, kept: readonly Kept[] = []): Wait | undefined {
  const waits: (Wait | undefined)[] = [];
  for (const [name, value] of headers) {
    if (name === 'ratelimit') waits.push(...readDrafts(value, nowAt, kept));
    else if (/rate-?limit.*remaining/.test(name) && isNothing(value)) {
      const reset = name.replace('remaining', 'reset');
      const reason = `${name}: ${shorten(value)}, ${say(headers, reset)}`;
      const wait = toWait(readReset(headers.get(reset), nowAt), reason, nowAt);
      waits.push(unlessKept(wait, headers.get(name.replace('remaining', 'limit')), kept));
    }
  }
  return longest(waits);
}

/** Nothing if it speaks of a limit of that size that is kept, and asks for no more than its whole length, in whole seconds. */
function unlessKept(wait: Wait | undefined, size: string | null | undefined, kept: readonly Kept[]): Wait | undefined {
  const said = toNumber(size ?? null);
  const isKnown = (one: Kept) => one.size === said && (wait?.forMs ?? 0) <= Math.ceil(one.perMs / 1_000) * 1_000;
  return kept.some(isKnown) ? undefined : wait;
}

/** The reset of what the quota speaks of: not of a limit of which something is left. */
function readQuotaReset(headers: Headers, nowAt: number): Wait | undefined {
  const waits: (Wait | undefined)[] = [];
  for (const [name] of headers) {
    const isReset = /(rate-?limit|quota).*reset/.test(name) && !headers.has(name.replace('reset', 'remaining'));
    if (isReset) waits.push(toWait(readReset(headers.get(name), nowAt), say(headers, name), nowAt));
  }
  return longest(waits);
}

type Parts = Partial<Record<'r' | 't' | 'limit' | 'remaining' | 'reset', string>>;

/** `"default";r=0;t=30, "daily";r=9;t=4000` of the later drafts; `limit=10, remaining=0, reset=30` of the seventh. */
function readDrafts(text: string, nowAt: number, kept: readonly Kept[]): (Wait | undefined)[] {
  const bare = text.replace(/"[^"]*"/g, '');
  return (bare.includes(';') ? bare.split(',') : [bare]).flatMap((item) => {
    const parts = Object.fromEntries(item.split(/[;,]/).map((part) => part.trim().split('=', 2))) as Parts;
    const seconds = toNumber(parts.t ?? parts.reset ?? null);
    if (!isNothing(parts.r ?? parts.remaining ?? '') || seconds === undefined) return [];
    return [unlessKept(toWait(seconds * 1_000, `ratelimit: ${shorten(text)}`, nowAt), parts.limit, kept)];
  });
}

/** Ms from now, in every dialect: epoch milliseconds or seconds, seconds from now, a duration ('6m0s'), an instant. */
function readReset(text: string | null, nowAt: number): number | undefined {
  const reset = toNumber(text);
  if (reset === undefined) {
    const at = readInstant(text);
    return toDurationMs(text?.trim()) ?? (at && at - nowAt);
  }
  if (reset > 1e11) return reset - nowAt;
  return reset > 1e9 ? reset * 1_000 - nowAt : reset * 1_000;
}

/** What lies beyond the year 9999 is nonsense, and nonsense was not said. */
function toWait(forMs: number | undefined, reason: string, nowAt: number): Wait | undefined {
  return forMs === undefined || toEpochMs(nowAt + forMs) === undefined ? undefined : { forMs, reason };
}

function longest(waits: (Wait | undefined)[]): Wait | undefined {
  return waits.reduce((most, one) => (one && !(most && most.forMs >= one.forMs) ? one : most), undefined);
}

/** An HTTP date or RFC 3339. Date.parse alone would read '-5' as a day in 2001. */
function readInstant(text: string | null): number | undefined {
  return toEpochMs(text && /^[A-Z][a-z]+, /.test(text) ? Date.parse(text) : text);
}

function toNumber(text: string | null): number | undefined {
  return text !== null && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}

/** Some count on below zero. */
function isNothing(text: string): boolean {
  return /^(0+(\.0+)?|-\d+)$/.test(text.trim());
}

function say(headers: Headers, name: string): string {
  return `${name}: ${shorten(headers.get(name) ?? '')}`;
}

function shorten(text: string): string {
  const bare = text.trim();
  return bare.length > 100 ? `${bare.slice(0, 97)}...` : bare;
}
