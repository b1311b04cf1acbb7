// How long the upstream takes before it answers: always the same, anything in a range, or mostly quick with a long tail.

import { DURATION_FORM, type Duration, toDurationMs } from '../words/duration.ts';
import { wrongOption } from '../words/errors.ts';

/** Every duration as written on the way in, ms once parsed. */
export type Latency =
  | { readonly fixed: number }
  | { readonly min: number; readonly max: number }
  | { readonly p50: number; readonly p99: number };

export type LatencyInput =
  | Duration
  | { readonly fixed: Duration }
  | { readonly min: Duration; readonly max: Duration }
  | { readonly p50: Duration; readonly p99: Duration };

const LATENCY_FORM = "a duration, { fixed }, { min, max } or { p50, p99 }, such as { p50: '40ms', p99: '2s' }";
const FORMS = [['fixed'], ['min', 'max'], ['p50', 'p99']] as const;

/** The z-score of the 99th percentile: how many sigmas the tail's named point is from the middle. */
const Z99 = 2.326_347_874;
/** A lognormal has no end; nothing waits longer than this many times its p99. Two draws in a million would, at p99/p50 = 10. */
const TAIL_CUT = 10;

export function parseLatency(value: unknown, option: string): Latency {
  if (typeof value !== 'object' || value === null) {
    return Object.freeze({ fixed: parseMs(value, option, LATENCY_FORM) });
  }
  const given = value as Record<string, unknown>;
  const form = FORMS.find((names) => Object.keys(given).sort().join() === [...names].sort().join());
  if (!form) throw wrongOption('LK_INPUT', option, LATENCY_FORM, value);
  const [low, high] = form.map((name) => parseMs(given[name], `${option}.${name}`, DURATION_FORM)) as [number, number?];
  if (high !== undefined && high < low) {
    throw wrongOption('LK_INPUT', `${option}.${form[1]}`, `no less than ${form[0]} (${low} ms)`, given[form[1] ?? '']);
  }
  if (form[0] === 'fixed') return Object.freeze({ fixed: low });
  if (form[0] === 'min') return Object.freeze({ min: low, max: high ?? low });
  if (low === 0) throw wrongOption('LK_INPUT', `${option}.p50`, 'more than none: a tail needs a middle', given.p50);
  return Object.freeze({ p50: low, p99: high ?? low });
}

function parseMs(value: unknown, option: string, expected: string): number {
  const ms = toDurationMs(value);
  if (ms === undefined) throw wrongOption('LK_INPUT', option, expected, value);
  return ms;
}

/** Luck is uniform in [0, 1); more of it waits longer, so one draw is one latency and p50 and p99 fall where they are named. */
export function toLatencyMs(latency: Latency, luck: number): number {
  if ('fixed' in latency) return latency.fixed;
  if ('min' in latency) return latency.min + luck * (latency.max - latency.min);
  const sigma = Math.log(latency.p99 / latency.p50) / Z99;
  return Math.min(latency.p50 * Math.exp(sigma * toZScore(luck)), latency.p99 * TAIL_CUT);
}

/** Inverse of the normal distribution: Abramowitz and Stegun 26.2.23, wrong by less than 0.00045. */
function toZScore(share: number): number {
  const tail = Math.max(Math.min(share, 1 - share), 1e-12);
  const t = Math.sqrt(-2 * Math.log(tail));
  const z =
    t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
  return share < 0.5 ? -z : z;
}
