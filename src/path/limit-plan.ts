// Reads the option `limits` of an upstream: each limit by itself, then all of them together (no two of one name, none that can
// never be reached), then against what the chosen driver can keep. Every problem is told by its place.

import { DURATION_FORM, type Duration, toDurationMs } from '../words/duration.ts';
import { quote } from '../words/errors.ts';
import {
  LIMIT_DRIVERS,
  type Limit,
  type LimitDriverName,
  type LimitKind,
  type LimitPlan,
  limitName,
} from '../words/limit.ts';
import { toCount, toPositiveMs } from './definition.ts';
import type { Tell } from './options.ts';

/** One limit as people write it. With `by: 'agent'` every agent has one of that size. */
export type LimitOptions =
  | { concurrent: number; by?: 'agent'; count?: never; tokens?: never; per?: never }
  | { count: number; per: Duration; by?: 'agent'; concurrent?: never; tokens?: never }
  | { tokens: number; per: Duration; by?: 'agent'; concurrent?: never; count?: never };

/** A list of limits, or the list with what keeps it. */
export type LimitPlanOptions =
  | readonly LimitOptions[]
  | {
      all: readonly LimitOptions[];
      /** What keeps them. Default 'scripts'. */
      driver?: LimitDriverName;
      /** How long a request may take from the pod to the upstream, 0 to 5 s. Default '50ms'. */
      travel?: Duration;
    };

/** Second, minute, hour and day, for requests and tokens, for all and by agent, are sixteen. */
const MAX_LIMITS = 16;
/** Models are sold by hundreds of millions of tokens a minute; beyond a million at once, or requests, a limit limits nothing. */
const MAX_SIZES = { concurrent: 1_000_000, count: 1_000_000, tokens: 1_000_000_000 } as const satisfies Record<
  LimitKind,
  number
>;
export const MAX_TOKENS = MAX_SIZES.tokens;
const MAX_PER_MS = 31 * 24 * 3_600_000;
const MAX_TRAVEL_MS = 5_000;
const TRAVEL_MS = 50;
/** Bottleneck keeps a count by a pause between requests, and a pause of a few milliseconds is as long as its own scripts take. */
const MIN_PAUSE_MS = 10;

const KINDS = ['concurrent', 'count', 'tokens'] as const satisfies readonly LimitKind[];
const LIST_FORM = `a list of 1 to ${MAX_LIMITS} limits such as [{ concurrent: 3 }, { count: 60, per: '1m' }]`;
export const LIMITS_FORM = `${LIST_FORM}, or { driver, all: that list, travel }`;

/** A limit, and where it was written. */
interface Placed {
  at: string;
  limit: Limit;
}

export function toLimitPlan(given: unknown, tell: Tell): LimitPlan | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const isList = Array.isArray(given);
  const { all, driver = 'scripts', travel = TRAVEL_MS, ...strangers } = isList ? { all: given } : (given as PlanGiven);
  expectOnly(['driver', 'all', 'travel'], strangers, '', tell);
  const keeper = LIMIT_DRIVERS.find((name) => name === driver);
  if (!keeper) tell(`.driver: expected ${LIMIT_DRIVERS.map((name) => `'${name}'`).join(' or ')}, got ${quote(driver)}`);
  const travelMs = toDurationMs(travel);
  const isTravel = travelMs !== undefined && travelMs <= MAX_TRAVEL_MS;
  if (!isTravel) tell(`.travel: expected ${DURATION_FORM}, at most '5s', got ${quote(travel)}`);
  const placed = toLimits(all, isList ? '' : '.all', tell);
  tellClashes(placed, tell);
  if (keeper === 'bottleneck') tellUnkept(placed, tell);
  if (!keeper || !isTravel) return undefined;
  // All must allow, so their order says nothing: in one order, two pods that mean the same have the same plan.
  const limits = placed.map(({ limit }) => limit).sort(byKind);
  return Object.freeze({ driver: keeper, limits: Object.freeze(limits), travelMs });
}

interface PlanGiven {
  all?: unknown;
  driver?: unknown;
  travel?: unknown;
}

function toLimits(all: unknown, at: string, tell: Tell): Placed[] {
  // Its length is asked once, and nothing beyond it: a proxy of a list may say another every time.
  const length = Array.isArray(all) ? toCount(1, MAX_LIMITS)(all.length) : undefined;
  if (length === undefined) tell(`${at}: expected ${LIST_FORM}, got ${quote(all)}`);
  return Array.from({ length: length ?? 0 }, (_, index) => {
    const place = `${at}[${index}]`;
    const limit = toLimit((all as unknown[])[index], place, tell);
    return limit ? [{ at: place, limit }] : [];
  }).flat();
}

function toLimit(given: unknown, at: string, tell: Tell): Limit | undefined {
  const form = "{ concurrent }, { count, per } or { tokens, per }, each also with by: 'agent'";
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    tell(`${at}: expected ${form}, got ${quote(given)}`);
    return undefined;
  }
  const { concurrent, count, tokens, per, by, ...strangers } = given as Record<string, unknown>;
  const sizes = { concurrent, count, tokens };
  const [kind, second] = KINDS.filter((name) => sizes[name] !== undefined);
  expectOnly([...KINDS, 'per', 'by'], strangers, at, tell);
  if (!kind || second) {
    const advice = second ? ': two limits are two items of the list' : '';
    tell(`${at}: expected ${form}, got ${quote(given)}${advice}`);
    return undefined;
  }
  const size = toSize(kind, sizes[kind]);
  if (size === undefined) tell(`${at}.${kind}: expected ${sizeForm(kind)}, got ${quote(sizes[kind])}`);
  const perMs = kind === 'concurrent' ? toNoPer(per, at, tell) : toPerMs(per, at, tell);
  const isBy = by === undefined || by === 'agent';
  if (!isBy) tell(`${at}.by: expected 'agent', or nothing for all of them together, got ${quote(by)}`);
  if (size === undefined || perMs === undefined || !isBy) return undefined;
  const byAgent = by === 'agent';
  return Object.freeze({ name: limitName(kind, perMs, byAgent), kind, size, perMs, byAgent });
}

export function sizeForm(kind: LimitKind): string {
  return `a whole number from 1 to ${MAX_SIZES[kind]}`;
}

export function toSize(kind: LimitKind, value: unknown): number | undefined {
  return toCount(1, MAX_SIZES[kind])(value);
}

function toPerMs(per: unknown, at: string, tell: Tell): number | undefined {
  const perMs = toPositiveMs(per);
  if (perMs !== undefined && perMs <= MAX_PER_MS) return perMs;
  tell(`${at}.per: expected ${DURATION_FORM}, more than 0 and at most '31d', got ${quote(per)}`);
  return undefined;
}

function toNoPer(per: unknown, at: string, tell: Tell): number | undefined {
  if (per === undefined) return 0;
  tell(`${at}.per: expected nothing beside concurrent, got ${quote(per)}: so many in a time are { count, per }`);
  return undefined;
}

function expectOnly(names: string[], strangers: object, at: string, tell: Tell): void {
  const unknown = Object.keys(strangers);
  if (unknown.length > 0) tell(`${at}: expected only ${names.join(', ')}, got ${quote(unknown)}`);
}

function tellClashes(placed: readonly Placed[], tell: Tell): void {
  for (const [index, { at, limit }] of placed.entries()) {
    const twin = placed.slice(0, index).find((other) => other.limit.name === limit.name);
    if (twin) tell(`${at}: expected one limit of a name, got a second '${limit.name}': leave one out`);
    const tighter = placed.find((other) => isTighter(other.limit, limit))?.limit;
    if (!tighter) continue;
    const most = `at most ${tighter.size}, because '${tighter.name}' lets no more through`;
    tell(`${at}.${limit.kind}: expected ${most}, got ${limit.size}: make it smaller, or leave it out`);
  }
}

/** Whoever keeps the tighter one never reaches the other: it covers as many agents and as long a time, and allows less. */
export function isTighter(one: Limit, other: Limit): boolean {
  const isAsWide = one.perMs >= other.perMs && (!one.byAgent || other.byAgent);
  return one.kind === other.kind && one.name !== other.name && isAsWide && one.size < other.size;
}

function tellUnkept(placed: readonly Placed[], tell: Tell): void {
  const counts = placed.filter(({ limit }) => limit.kind === 'count' && !limit.byAgent);
  for (const { at, limit } of placed) {
    const refuse = (place: string, expected: string, got: unknown) =>
      tell(`${at}${place}: expected ${expected} with driver 'bottleneck', got ${got}: use driver 'scripts'`);
    const { name, kind, size, perMs } = limit;
    if (limit.byAgent) refuse('.by', 'no limits by agent', "'agent'");
    else if (kind === 'tokens') refuse('.tokens', 'no limits of tokens', size);
    else if (kind === 'count' && counts[0]?.limit !== limit) refuse('', 'one { count, per } at most', `also '${name}'`);
    else if (kind === 'count' && size > mostKept(perMs)) {
      refuse('.count', `at least ${MIN_PAUSE_MS} ms for each request`, `${size} '${name}'`);
    }
  }
}

/** The largest count in such a time that Bottleneck keeps. */
export function mostKept(perMs: number): number {
  return Math.floor(perMs / MIN_PAUSE_MS);
}

function byKind(one: Limit, other: Limit): number {
  const byRank = KINDS.indexOf(one.kind) - KINDS.indexOf(other.kind);
  return byRank || one.perMs - other.perMs || Number(one.byAgent) - Number(other.byAgent);
}
