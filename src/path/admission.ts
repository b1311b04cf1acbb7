// May this job run now? Gates answer in order, and the first that says anything but "admit" decides. Later parts add theirs
// (owner, breaker, cooldown, limit) to the list; the runner does not change.

import { checkPayload } from '../policies/intake.ts';
import type { FailureClass } from '../words/failure.ts';
import type { Gate } from '../words/outcome.ts';
import type { Attempt } from './attempt.ts';

export type Verdict =
  | { kind: 'admit'; payload: unknown }
  | { kind: 'park'; gate: Gate; untilAt: number; reason: string }
  | { kind: 'refuse'; class: FailureClass; reason: string };

/** Answers undefined to let the job pass on to the next gate. */
export type AdmissionGate = (attempt: Attempt) => Verdict | undefined | Promise<Verdict | undefined>;

export type Admit = (attempt: Attempt) => Promise<Verdict>;

export function createAdmission(gates: readonly AdmissionGate[]): Admit {
  return async (attempt) => {
    for (const gate of gates) {
      const answer = gate(attempt);
      const verdict = answer instanceof Promise ? await answer : answer;
      if (verdict) return verdict;
    }
    return checkIntake(attempt);
  };
}

/** BullMQ marks a job that lost more pods than allowed and leaves the burial to whoever fetches it. */
export const stalledGate: AdmissionGate = (attempt) =>
  attempt.raw.deferredFailure
    ? {
        kind: 'refuse',
        class: 'stalled',
        reason: `its pod died or froze under it ${attempt.raw.stalledCounter} times`,
      }
    : undefined;

/** Last, because it parses: the payload a handler sees is the schema's output, made once per attempt from what was sent. */
async function checkIntake(attempt: Attempt): Promise<Verdict> {
  if (attempt.malformed) return { kind: 'refuse', class: 'refused', reason: attempt.malformed };
  const checked = checkPayload(attempt.lane.payload, attempt.input);
  const intake = checked instanceof Promise ? await checked : checked;
  return intake.ok
    ? { kind: 'admit', payload: intake.value }
    : { kind: 'refuse', class: 'refused', reason: intake.problems.join('; ') };
}
