// May this payload enter? Any Standard Schema (zod, valibot, arktype, …) answers, with every wrong field at once.

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { escapeChar } from '../words/errors.ts';

/** A million wrong items would make a reason of 60 MB, written with the job, its event and the journal. */
const MAX_PROBLEMS = 100;
const MAX_PROBLEM_CHARS = 300;

export type Intake = { ok: true; value: unknown } | { ok: false; problems: string[] };

/** Synchronous when the schema is, so that a lane with a plain schema pays no turn of the event loop per job. */
export function checkPayload(schema: StandardSchemaV1 | undefined, input: unknown): Intake | Promise<Intake> {
  if (!schema) return { ok: true, value: input };
  const verdict = schema['~standard'].validate(input);
  // By its `then`: a promise of another realm is no instance of ours, and would pass as an answer without issues.
  return 'then' in verdict ? Promise.resolve(verdict).then(toIntake) : toIntake(verdict);
}

function toIntake(verdict: StandardSchemaV1.Result<unknown>): Intake {
  if (!verdict.issues) return { ok: true, value: verdict.value };
  const { issues } = verdict;
  const problems = issues.slice(0, MAX_PROBLEMS).map((issue) => toLine(`${pathOf(issue)}: ${issue.message}`));
  if (issues.length > MAX_PROBLEMS) problems.push(`and ${issues.length - MAX_PROBLEMS} more`);
  return { ok: false, problems };
}

/** Field names are the sender's own text, and arktype shows values: whoever prints it needs one line without surprises. */
function toLine(problem: string): string {
  const line = problem.slice(0, MAX_PROBLEM_CHARS).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, escapeChar);
  return problem.length > MAX_PROBLEM_CHARS ? `${line}...` : line;
}

function pathOf(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step));
  return ['payload', ...path].join('.');
}
