// What an attempt costs the agent it acted as: whether it was an act at all, whether it went well, and whether the upstream said when
// the agent may come again.

import type { FailureClass } from '../words/failure.ts';
import type { Outcome, Park } from '../words/outcome.ts';

export interface ActTerms {
  readonly cooldownMs: number;
  readonly charge: 'attempt' | 'success';
}

export interface Charge {
  /** Null: it did not act, or what it did costs nothing. */
  costMs: number | null;
  /** Until then it may not act, whatever it costs. */
  untilAt: number | null;
  source: 'policy' | 'retry-after' | 'quota' | 'ban';
  reason: string;
  /** For its recent success; null says nothing about it. */
  ok: 0 | 1 | null;
}

/** `wasSent`: a request of it may have reached the upstream. */
export function chargeFor(terms: ActTerms, outcome: Outcome, wasSent: boolean): Charge {
  const isDone = outcome.kind === 'done';
  // One that is done acted, also when it went round ctx.fetch; one that failed before it sent anything did not.
  const isCharged = isDone || (wasSent && terms.charge === 'attempt');
  const held = heldUntil(outcome);
  return {
    costMs: isCharged ? terms.cooldownMs : null,
    untilAt: held?.untilAt ?? null,
    source: held?.source ?? 'policy',
    reason: held?.reason ?? '',
    ok: successOf(outcome),
  };
}

/** It never came to its handler. */
function isRefusal({ class: ofClass }: { class: FailureClass }): boolean {
  return ofClass === 'refused' || ofClass === 'stalled';
}

function heldUntil(outcome: Outcome): { untilAt: number; source: Charge['source']; reason: string } | undefined {
  if (outcome.kind !== 'park' || outcome.gate !== 'limit' || outcome.untilAt === null) return undefined;
  return { untilAt: outcome.untilAt, source: sourceOf(outcome), reason: outcome.reason };
}

function sourceOf({ class: ofClass, isBan }: Park): Charge['source'] {
  if (isBan) return 'ban';
  return ofClass === 'quota' ? 'quota' : ofClass === 'rate-limit' ? 'retry-after' : 'policy';
}

function successOf(outcome: Outcome): 0 | 1 | null {
  if (outcome.kind === 'done') return 1;
  if (outcome.kind === 'park') return outcome.class === null ? null : 0;
  return outcome.kind === 'retry' || (outcome.kind === 'dead' && !isRefusal(outcome)) ? 0 : null;
}
