// Reads the rules somebody wants a log judged by, over HTTP or in a test, and fills in what they left out.

import { DURATION_FORM, type Duration, toDurationMs } from '../words/duration.ts';
import { wrongOption } from '../words/errors.ts';
import { type Limit, type LimitInput, parseLimits } from './limits.ts';

export interface RulesInput {
  readonly limits?: readonly LimitInput[];
  readonly cooldown?: Duration | null;
  /** Which requests are an agent's acts. Default 'all'. */
  readonly cooldownOn?: 'all' | 'writes';
  /** Default true. */
  readonly countRefused?: boolean;
  /** Whether fence tokens may only grow. Default true. */
  readonly fence?: boolean;
  /** By what two effects of one method and path are the same one. Default both. */
  readonly effects?: readonly ('idempotencyKey' | 'jobId')[];
  /** Judges arrivals from this instant on. Default: all. */
  readonly fromAt?: number;
  /** Judges arrivals before this instant. Default: all. */
  readonly untilAt?: number;
}

export interface Span {
  readonly fromAt: number;
  readonly untilAt: number;
}

export interface Rules extends Span {
  readonly limits: readonly Limit[];
  readonly cooldown: number | null;
  readonly cooldownOn: 'all' | 'writes';
  readonly countRefused: boolean;
  readonly fence: boolean;
  readonly effects: readonly ('idempotencyKey' | 'jobId')[];
}

const DEFAULT_RULES = Object.freeze<Rules>({
  limits: [],
  cooldown: null,
  cooldownOn: 'all',
  countRefused: true,
  fence: true,
  effects: ['idempotencyKey', 'jobId'], // whoever does two things on one path in one job judges by keys alone
  fromAt: -Infinity,
  untilAt: Infinity,
});

export function parseRules(given: RulesInput): Rules {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrongOption('LK_INPUT', 'rules', 'an object such as { limits: [{ concurrent: 3 }] }', given);
  }
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(DEFAULT_RULES, name));
  if (unknown) throw wrongOption('LK_INPUT', 'rules', `names out of ${Object.keys(DEFAULT_RULES).join(', ')}`, unknown);
  const rules = { ...DEFAULT_RULES, ...dropAbsent(given) };
  const cooldown = rules.cooldown === null ? null : toDurationMs(rules.cooldown);
  if (cooldown === undefined) throw wrongOption('LK_INPUT', 'cooldown', DURATION_FORM, rules.cooldown);
  const check = (name: keyof Rules, fits: boolean, expected: string) => {
    if (!fits) throw wrongOption('LK_INPUT', name, expected, rules[name]);
  };
  check('cooldownOn', ['all', 'writes'].includes(rules.cooldownOn), 'one of all, writes');
  check('countRefused', typeof rules.countRefused === 'boolean', 'true or false');
  check('fence', typeof rules.fence === 'boolean', 'true or false');
  const marks = ['idempotencyKey', 'jobId'];
  const areMarks = Array.isArray(rules.effects) && rules.effects.every((mark) => marks.includes(mark));
  check('effects', areMarks, `a list out of ${marks.join(', ')}`);
  for (const name of ['fromAt', 'untilAt'] as const) {
    check(name, typeof rules[name] === 'number' && !Number.isNaN(rules[name]), 'an instant in epoch ms');
  }
  return { ...rules, limits: parseLimits(rules.limits, 'limits'), cooldown };
}

function dropAbsent(given: RulesInput): RulesInput {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export function isWithin(at: number, span: Span): boolean {
  return at >= span.fromAt && at < span.untilAt;
}
