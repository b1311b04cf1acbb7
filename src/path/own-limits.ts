// The last gate: what can only be known once a job is here. How many tokens it may use is read from its payload, and what its agent
// may do from its agent; both are taken together, or the job is parked until they may be had.

import { firstLine, quote, toError } from '../words/errors.ts';
import type { PayloadGate, Verdict } from './admission.ts';
import type { Attempt } from './attempt.ts';
import type { Lane } from './lane.ts';
import type { OwnDesk } from './own-desk.ts';
import { OwnHold, sayForNow, sayVerdict } from './own-hold.ts';
import type { Permit } from './permit.ts';
import { toTokenCount } from './spend.ts';

/** When Redis did not answer: nobody knows, and no attempt is used. */
const UNKNOWN_MS = 1_000;
/** More than there is for now: whoever makes the limit larger calls who waits for it, and that pods agree again is seen by then. */
const FOR_NOW_MS = 60_000;

const ESTIMATE_FORM = 'a number of tokens from 0';

/** Synchronous where the upstream has no such limit: a turn of the event loop per job is for those that wait for something. */
export function createOwnLimits(deskOf: (lane: Lane) => OwnDesk | undefined): PayloadGate {
  return (attempt, payload) => {
    const desk = deskOf(attempt.lane);
    const limits = desk?.options.own.limitsOf(attempt.agent) ?? [];
    if (!desk || !attempt.permit || limits.length === 0) return undefined;
    const tokens = limits.some(({ kind }) => kind === 'tokens') ? estimate(attempt.lane, payload) : 0;
    return typeof tokens === 'number' ? admit(desk, attempt, attempt.permit, tokens) : tokens;
  };
}

async function admit(desk: OwnDesk, attempt: Attempt, permit: Permit, tokens: number): Promise<Verdict | undefined> {
  const { own, clock, events } = desk.options;
  const hold = new OwnHold(desk, attempt, permit);
  attempt.own = hold;
  const park = (forMs: number, reason: string): Verdict => ({
    kind: 'park',
    gate: 'limit',
    untilAt: Math.ceil(clock.now() + forMs),
    reason,
  });
  try {
    const verdict = await hold.take(tokens);
    if (verdict.kind === 'taken') {
      attempt.permit = hold;
      return undefined;
    }
    const reason = sayVerdict(verdict, own.upstream, attempt.agent, tokens);
    if (verdict.kind !== 'over') return park(verdict.forMs, reason);
    const { limit, size, forMs } = verdict;
    if (tokens > definedSize(attempt.lane, limit)) return refuse(reason);
    return park(forMs || FOR_NOW_MS, sayForNow(limit, size, own.upstream, tokens));
  } catch (error) {
    events.emit('redis.failing', { what: `take limits of ${own.upstream}`, reason: toError(error).message });
    return park(UNKNOWN_MS, `the limits of ${own.upstream} could not be asked: ${firstLine(error)}`);
  }
}

/** An order, or another pod's definition, may make it smaller for a while: no reason to bury what fits the lane's own. */
function definedSize({ upstream }: Lane, limit: string): number {
  return upstream?.limits?.limits.find(({ name }) => name === limit)?.size ?? 0;
}

function estimate({ tokens }: Lane, payload: unknown): number | Verdict {
  // Another pod's definition limits tokens, this one's does not: what is spent counts.
  if (typeof tokens !== 'function') return tokens ?? 0;
  let answer: unknown;
  try {
    answer = (tokens as (payload: unknown) => unknown)(payload);
  } catch (thrown) {
    return refuse(`tokens: expected ${ESTIMATE_FORM} from the lane's function, got a throw: ${firstLine(thrown)}`);
  }
  const count = toTokenCount(answer);
  if (count !== undefined) return count;
  // An async function: nobody waits for its answer, and its failure must not end the pod.
  if (answer instanceof Promise) answer.catch(() => {});
  const got = answer instanceof Promise ? 'a promise' : quote(answer);
  return refuse(`tokens: expected ${ESTIMATE_FORM} from the lane's function, got ${got}`);
}

function refuse(reason: string): Verdict {
  return { kind: 'refuse', class: 'refused', reason };
}
