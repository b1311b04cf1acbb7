// ctx.spend: what an attempt used, in tokens, as a number or as a model's answer tells it.

import { wrongOption } from '../words/errors.ts';
import type { Attempt } from './attempt.ts';
import type { Context } from './handler.ts';
import { refuseIfOver } from './request.ts';

const USAGE_FORM =
  'a number of tokens from 0, or { tokens }, { total_tokens }, { inputTokens, outputTokens }, { input_tokens, output_tokens } or ' +
  '{ prompt_tokens, completion_tokens }';

/** In this order: a total that is told is not made again from its parts. */
const FORMS = [
  ['tokens'],
  ['total_tokens'],
  ['inputTokens', 'outputTokens'],
  ['input_tokens', 'output_tokens'],
  ['prompt_tokens', 'completion_tokens'],
] as const;

/** A million times the largest limit: beyond it a sum would no longer be exact. */
const MAX_TOKENS = 1e12;

export function createSpend(attempt: Attempt): Context['spend'] {
  return (usage) => {
    refuseIfOver(attempt, 'spend');
    const tokens = toTokens(usage);
    if (tokens === undefined) throw wrongOption('LK_INPUT', 'ctx.spend', USAGE_FORM, usage);
    attempt.spent = Math.min((attempt.spent ?? 0) + tokens, MAX_TOKENS);
    attempt.own?.spent(attempt.spent);
  };
}

/** Whole, rounded up; undefined when it is no number of tokens. */
export function toTokenCount(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= MAX_TOKENS ? Math.ceil(value) : undefined;
}

function toTokens(usage: unknown): number | undefined {
  if (typeof usage !== 'object' || usage === null) return toTokenCount(usage);
  try {
    const told = usage as Record<string, unknown>;
    const form = FORMS.find((names) => names.some((name) => told[name] !== undefined));
    return form && sum(form.map((name) => toTokenCount(told[name])));
  } catch {
    return undefined; // a getter or proxy that throws
  }
}

function sum(counts: readonly (number | undefined)[]): number | undefined {
  return counts.reduce((total, count) => (total === undefined || count === undefined ? undefined : total + count), 0);
}
