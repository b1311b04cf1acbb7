// May this job run now? Gates answer in order, and the first that says anything but "admit" decides. Later parts add theirs
// (owner, breaker, cooldown, limit) to the list; the runner does not change.

import { checkPayload, type Intake } from '../policies/intake.ts';
import type { FailureClass } from '../words/failure.ts';
import type { Gate } from '../words/outcome.ts';
import type { Attempt } from './attempt.ts';

export type Verdict =
  | { kind: 'admit'; payload: unknown }
  /** Until null: its owner was displaced, and it waits for that one. */
  | { kind: 'park'; gate: Gate; untilAt: number | null; reason: string }
  | { kind: 'refuse'; class: FailureClass; reason: string };

/** Answers undefined to let the job pass on to the next gate. */
export type AdmissionGate = (attempt: Attempt) => Verdict | undefined | Promise<Verdict | undefined>;

/** Synchronous when its gates and the schema are: a turn of the event loop per job is for those that wait for something. */
export type Admit = (attempt: Attempt) => Verdict | Promise<Verdict>;

/** Asked last, of a job that would be admitted: it sees the payload as the handler will. */
export type PayloadGate = (attempt: Attempt, payload: unknown) => Verdict | undefined | Promise<Verdict | undefined>;

export function createAdmission(gates: readonly AdmissionGate[], last: PayloadGate = () => undefined): Admit {
  return (attempt) => askFrom(0, attempt);

  function askFrom(place: number, attempt: Attempt): Verdict | Promise<Verdict> {
    for (let next = place; next < gates.length; next++) {
      const answer = (gates[next] as AdmissionGate)(attempt);
      if (answer instanceof Promise) return answer.then((verdict) => verdict ?? askFrom(next + 1, attempt));
      if (answer) return answer;
    }
    const verdict = checkIntake(attempt);
    return verdict instanceof Promise
      ? verdict.then((checked) => askLast(attempt, checked))
      : askLast(attempt, verdict);
  }

  function askLast(attempt: Attempt, verdict: Verdict): Verdict | Promise<Verdict> {
    if (verdict.kind !== 'admit') return verdict;
    const answer = last(attempt, verdict.payload);
    return answer instanceof Promise ? answer.then((other) => other ?? verdict) : (answer ?? verdict);
  }
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

/** After the gates, because it parses: the payload a handler sees is the schema's output, made once per attempt from what was sent. */
function checkIntake({ lane, input, malformed }: Attempt): Verdict | Promise<Verdict> {
  if (malformed) return { kind: 'refuse', class: 'refused', reason: malformed };
  const checked = checkPayload(lane.payload, input);
  return checked instanceof Promise ? checked.then(toVerdict) : toVerdict(checked);
}

function toVerdict(intake: Intake): Verdict {
  return intake.ok
    ? { kind: 'admit', payload: intake.value }
    : { kind: 'refuse', class: 'refused', reason: intake.problems.join('; ') };
}
