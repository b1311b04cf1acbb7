// A lane's part in the limits of its upstream: its weight beside other lanes, and what one attempt takes of them.

import { quote } from '../words/errors.ts';
import type { LimitKind } from '../words/limit.ts';
import { toCount } from './definition.ts';
import { MAX_TOKENS } from './limit-plan.ts';
import type { OptionRules } from './options.ts';
import type { Upstream } from './upstream.ts';

export interface LimitShare {
  /** Of what is scarce it gets so many parts, beside the weights of the other lanes that wait. */
  readonly weight: number;
  /** An attempt may have so many requests under way at once; each holds a piece of `concurrent`. */
  readonly requests: number;
  /** What an attempt is expected to use: until it says what it used, so much counts. */
  readonly tokens: number | ((payload: never) => unknown) | undefined;
}

const TOKENS_FORM = `a whole number from 1 to ${MAX_TOKENS}, or a function of the payload`;

export const SHARE_RULES = {
  weight: { expected: 'a whole number from 1 to 1000', read: toCount(1, 1_000), preset: 1 },
  requests: { expected: 'a whole number from 1 to 100', read: toCount(1, 100), preset: 1 },
  tokens: {
    expected: TOKENS_FORM,
    read: (value: unknown): LimitShare['tokens'] =>
      typeof value === 'function' ? (value as (payload: never) => unknown) : toCount(1, MAX_TOKENS)(value),
    optional: true,
  },
} as const satisfies OptionRules;

/** What does not fit the limits of that upstream, one line each. */
export function listMisfits({ requests, tokens }: LimitShare, upstream: Upstream | undefined): string[] {
  const slots = smallest(upstream, 'concurrent');
  const allowance = smallest(upstream, 'tokens');
  const of = upstream ? `upstream ${quote(upstream.name)}` : 'no upstream';
  const misfits: string[] = [];
  if (slots && requests > slots.size) {
    misfits.push(`requests: expected at most ${slots.size}, the '${slots.name}' of ${of}, got ${requests}`);
  }
  if (requests > 1 && slots && upstream?.limits?.driver === 'bottleneck') {
    misfits.push(
      `requests: expected 1, because ${of} is kept by bottleneck, which grants one at a time, got ${requests}: use driver 'scripts'`,
    );
  }
  if (!allowance && tokens !== undefined) {
    misfits.push(
      `tokens: expected nothing, because ${upstream ? `${of} has no limit of tokens` : `it has ${of}`}, got ${quote(tokens)}`,
    );
  }
  if (allowance && tokens === undefined) {
    misfits.push(`tokens: expected ${TOKENS_FORM}, because ${of} has '${allowance.name}', got nothing`);
  }
  if (allowance && typeof tokens === 'number' && tokens > allowance.size) {
    misfits.push(`tokens: expected at most ${allowance.size}, the '${allowance.name}' of ${of}, got ${tokens}`);
  }
  return misfits;
}

/** An agent's own limit counts too: an attempt acts as one agent. */
function smallest(upstream: Upstream | undefined, kind: LimitKind) {
  const limits = upstream?.limits?.limits.filter((limit) => limit.kind === kind) ?? [];
  return limits.reduce<(typeof limits)[number] | undefined>(
    (least, limit) => (least && least.size <= limit.size ? least : limit),
    undefined,
  );
}
