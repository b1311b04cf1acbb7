// May this payload enter? Any Standard Schema (zod, valibot, arktype, …) answers, with every wrong field at once.

import type { StandardSchemaV1 } from '@standard-schema/spec';

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
  return { ok: false, problems: verdict.issues.map((issue) => `${pathOf(issue)}: ${issue.message}`) };
}

function pathOf(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step));
  return ['payload', ...path].join('.');
}
