// How the stand-in upstream behaves: every knob, its default and unit in one literal, and the check of a change. A change
// is read whole before any of it holds, and what holds is frozen.

import { DURATION_FORM, type Duration, toDurationMs } from '../words/duration.ts';
import { wrongOption } from '../words/errors.ts';
import { type Latency, type LatencyInput, parseLatency } from './latency.ts';
import { type Limit, type LimitInput, parseLimits } from './limits.ts';

export const RESET_POINTS = ['any', 'before-work', 'before-answer', 'mid-answer'] as const;
export type ResetPoint = (typeof RESET_POINTS)[number];

/** Two API versions at once; `ratio` is the share of unpinned requests that the second one answers. */
export interface Rollout {
  readonly versions: readonly [string, string];
  readonly ratio: number;
}

export type Range = readonly [low: number, high: number];

/** Durations are given as people write them and kept in ms. Ratios are shares of requests, 0 to 1. */
export interface Behaviour {
  readonly enforce: boolean;
  readonly limits: readonly Limit[];
  readonly countRefused: boolean;
  readonly retryAfter: number;
  readonly cooldown: number | null;
  readonly cooldownOn: 'all' | 'writes';
  readonly banFor: number;
  readonly banGrowth: number;
  readonly banMax: number;
  readonly latency: Latency;
  readonly failWith: number | null;
  readonly failRatio: number;
  readonly rollout: Rollout | null;
  readonly statusLies: number;
  readonly dropRatio: number;
  readonly gone: readonly string[];
  readonly usage: { readonly input: Range; readonly output: Range } | null;
  readonly quality: { readonly score: Range } | null;
  readonly resetRatio: number;
  readonly resetAt: ResetPoint;
  readonly checkFence: boolean;
  readonly honourIdempotency: boolean;
  readonly feedEvery: number;
}

export const DEFAULT_BEHAVIOUR = Object.freeze<Behaviour>({
  enforce: true, // false: refuse nothing, only record, so that the judge sees what a fleet does when nobody stops it
  limits: [], // [{ concurrent: 3 }, { count: 60, per: '1m', by: 'agent' }]: all must allow
  countRefused: true, // a refused request also counts towards limits and restarts its agent's cooldown: the harsher kind of API
  retryAfter: 1_000, // ms; what a request over a concurrent limit is told, since nobody knows when a place frees
  cooldown: null, // ms from an agent's last answer to its next arrival
  cooldownOn: 'all', // which requests are an agent's acts: 'all', or 'writes' (every method but GET, HEAD and OPTIONS)
  banFor: 0, // ms an agent is shut out for breaking its cooldown; 0: only that request is refused
  banGrowth: 2, // each further violation, in a ban or in a cooldown, multiplies the ban by this
  banMax: 86_400_000, // ms (1d); growth stops here, or ten knocks at 2h would outlive the test
  latency: { fixed: 0 }, // ms before the work is done
  failWith: null, // status real requests get instead of an answer, while /health stays green
  failRatio: 1, // of requests, when failWith is set
  rollout: null, // { versions: ['a', 'b'], ratio: 0.5 }; the header x-api-version pins one
  statusLies: 0, // of answers of the status endpoint: done work is called undone, undone work done
  dropRatio: 0, // of accepted writes: acknowledged, given an id, and never done
  gone: [], // ids that turn 404: '123' anywhere, 'channel/123' only as a channel
  usage: { input: [200, 1_200], output: [20, 300] }, // tokens in the answers of a model
  quality: { score: [0.7, 0.99] }, // quality metadata in the answers of a model
  resetRatio: 0, // of requests: the connection is reset
  resetAt: 'any', // before the work, after it but before the answer, in the middle of the answer, or any of them in equal parts
  checkFence: false, // refuse a fence token lower than the highest seen in its scope (412), or no whole number (400)
  honourIdempotency: false, // a finished effect's key seen again: the answer is replayed, without a second effect
  feedEvery: 1_000, // ms until the feed has one more item; it starts with ten
});

export type BehaviourChange = {
  readonly [K in keyof Behaviour]?: K extends 'limits'
    ? readonly LimitInput[]
    : K extends 'latency'
      ? LatencyInput
      : K extends 'cooldown'
        ? Duration | null
        : K extends 'banFor' | 'banMax' | 'retryAfter' | 'feedEvery'
          ? Duration
          : Behaviour[K];
};

const KNOBS: { readonly [K in keyof Behaviour]: (value: unknown, option: string) => Behaviour[K] } = {
  enforce: parseBoolean,
  limits: parseLimits,
  countRefused: parseBoolean,
  retryAfter: parseMs,
  cooldown: (value, option) => (value === null ? null : parseMs(value, option)),
  cooldownOn: (value, option) => parseOneOf(['all', 'writes'], value, option),
  banFor: parseMs,
  banGrowth: (value, option) => parseNumber(value, option, 1, 1_000),
  banMax: parseMs,
  latency: parseLatency,
  failWith: (value, option) => (value === null ? null : parseFailure(value, option)),
  failRatio: parseRatio,
  rollout: (value, option) => (value === null ? null : parseRollout(value, option)),
  statusLies: parseRatio,
  dropRatio: parseRatio,
  gone: parseGone,
  usage: (value, option) => (value === null ? null : parseUsage(value, option)),
  quality: (value, option) => (value === null ? null : parseQuality(value, option)),
  resetRatio: parseRatio,
  resetAt: (value, option) => parseOneOf(RESET_POINTS, value, option),
  checkFence: parseBoolean,
  honourIdempotency: parseBoolean,
  feedEvery: parseSomeMs,
};

/** The behaviour after a change: knobs named in it are replaced whole, the others stay. Throws, and changes nothing. */
export function changeBehaviour(before: Behaviour, change: unknown): Behaviour {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) {
    throw wrongOption('LK_INPUT', 'behaviour', "an object of knobs, such as { latency: '50ms' }", change);
  }
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(change)) {
    if (!Object.hasOwn(KNOBS, name)) {
      throw wrongOption('LK_INPUT', 'behaviour', `knobs out of ${Object.keys(KNOBS).join(', ')}`, name);
    }
    if (value !== undefined) read[name] = KNOBS[name as keyof Behaviour](value, name);
  }
  return Object.freeze({ ...before, ...read });
}

function parseBoolean(value: unknown, option: string): boolean {
  if (typeof value !== 'boolean') throw wrongOption('LK_INPUT', option, 'true or false', value);
  return value;
}

function parseMs(value: unknown, option: string): number {
  const ms = toDurationMs(value);
  if (ms === undefined) throw wrongOption('LK_INPUT', option, DURATION_FORM, value);
  return ms;
}

function parseSomeMs(value: unknown, option: string): number {
  const ms = parseMs(value, option);
  if (ms === 0) throw wrongOption('LK_INPUT', option, `${DURATION_FORM}, longer than none`, value);
  return ms;
}

function parseNumber(value: unknown, option: string, low: number, high: number): number {
  if (typeof value === 'number' && value >= low && value <= high) return value;
  throw wrongOption('LK_INPUT', option, `a number from ${low} to ${high}`, value);
}

function parseRatio(value: unknown, option: string): number {
  return parseNumber(value, option, 0, 1);
}

function parseOneOf<const T extends string>(allowed: readonly T[], value: unknown, option: string): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw wrongOption('LK_INPUT', option, `one of ${allowed.join(', ')}`, value);
  return found;
}

function parseFailure(value: unknown, option: string): number {
  if (Number.isInteger(value) && (value as number) >= 400 && (value as number) <= 599) return value as number;
  throw wrongOption('LK_INPUT', option, 'a status from 400 to 599, or null', value);
}

function parseRollout(value: unknown, option: string): Rollout {
  const form = "{ versions: ['a', 'b'], ratio: 0.5 }, two different versions";
  const { versions, ratio } = parseParts(value, option, ['versions', 'ratio'], form);
  const texts =
    Array.isArray(versions) && versions.every((one) => typeof one === 'string' && /^[\w.-]{1,64}$/.test(one));
  if (!texts || versions.length !== 2 || versions[0] === versions[1])
    throw wrongOption('LK_INPUT', option, form, value);
  const pair = Object.freeze([versions[0], versions[1]] as [string, string]);
  return Object.freeze({ versions: pair, ratio: parseRatio(ratio, `${option}.ratio`) });
}

function parseGone(value: unknown, option: string): readonly string[] {
  if (!Array.isArray(value) || !value.every((id) => typeof id === 'string' && id !== '')) {
    throw wrongOption('LK_INPUT', option, "a list of ids, such as ['channel/123']", value);
  }
  return Object.freeze([...value]);
}

function parseUsage(value: unknown, option: string): NonNullable<Behaviour['usage']> {
  const { input, output } = parseParts(value, option, ['input', 'output'], '{ input: [200, 1200], output: [20, 300] }');
  return Object.freeze({
    input: parseRange(input, `${option}.input`, 1e9, true),
    output: parseRange(output, `${option}.output`, 1e9, true),
  });
}

function parseQuality(value: unknown, option: string): NonNullable<Behaviour['quality']> {
  const { score } = parseParts(value, option, ['score'], '{ score: [0.7, 0.99] }');
  return Object.freeze({ score: parseRange(score, `${option}.score`, 1, false) });
}

function parseRange(value: unknown, option: string, high: number, whole: boolean): Range {
  const fits = (one: unknown) =>
    typeof one === 'number' && one >= 0 && one <= high && (!whole || Number.isInteger(one));
  if (Array.isArray(value) && value.length === 2 && value.every(fits) && value[0] <= value[1]) {
    return Object.freeze([value[0], value[1]] as [number, number]);
  }
  throw wrongOption('LK_INPUT', option, `[low, high], ${whole ? 'whole ' : ''}numbers from 0 to ${high}`, value);
}

function parseParts<const T extends string>(
  value: unknown,
  option: string,
  names: readonly T[],
  form: string,
): Record<T, unknown> {
  const known = (name: string) => (names as readonly string[]).includes(name);
  if (typeof value !== 'object' || value === null || !Object.keys(value).every(known)) {
    throw wrongOption('LK_INPUT', option, form, value);
  }
  return value as Record<T, unknown>;
}
