// The bodies of answers. During a rollout two versions answer: the first flat and in camelCase, the second nested under
// `data`, in snake_case and with its id renamed, so that code written for one cannot quietly read the other.

import type { Answer } from './effects.ts';
import type { LimitState } from './limit-gate.ts';

export interface Version {
  /** Null while there is only one. */
  readonly name: string | null;
  readonly isNew: boolean;
}

export function toAnswer(status: number, kind: string, fields: Record<string, unknown>, version: Version): Answer {
  if (!version.isNew) return { status, body: fields };
  const { id, ...rest } = fields;
  const renamed = id === undefined ? rest : { [`${kind}_id`]: id, ...rest };
  return { status, body: { data: toSnakeCase(renamed), meta: { kind, version: version.name } } };
}

function toSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toSnakeCase);
  if (typeof value !== 'object' || value === null) return value;
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [snake(name), toSnakeCase(inner)]));
}

/** Errors have one shape in every version: `{ error: { code, message, … } }`. */
export function toErrorAnswer(
  status: number,
  code: string,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
): Answer {
  return { status, body: { error: { code, message, ...more } } };
}

/** 429. Seconds are rounded up, because an integer is what most clients read; the exact time is beside it and in the body. */
export function toLimitedAnswer(code: string, message: string, waitMs: number): Answer {
  const retryAfterMs = Math.ceil(waitMs);
  const headers = { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)), 'retry-after-ms': String(retryAfterMs) };
  return { ...toErrorAnswer(429, code, message, { retryAfterMs }), headers };
}

export function toLimitHeaders(state: LimitState, guessMs: number): Record<string, string> {
  return {
    'x-ratelimit-limit': String(state.limit),
    'x-ratelimit-remaining': String(state.remaining),
    'x-ratelimit-reset': String(Math.ceil((state.resetMs ?? guessMs) / 1_000)), // seconds from now
  };
}
