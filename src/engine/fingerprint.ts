// A lane's definition as one short text, for comparing what different pods run. Equal definitions have equal prints; what
// cannot be compared (the inside of a schema that does not describe itself) is left out rather than guessed.

import { createHash } from 'node:crypto';
import type { Lane } from '../path/lane.ts';

export function fingerprint(lane: Lane): string {
  const { unbuilt: _, payload, upstream, ...policy } = lane;
  // An address comes from the environment, and who compares may stand in another one.
  const api = upstream && { ...upstream, baseUrl: undefined };
  const text = JSON.stringify(toPlain({ ...policy, upstream: api, payload: describe(payload) }));
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** zod and arktype can tell themselves as JSON Schema; a transform, for one, they cannot. */
function describe(schema: Lane['payload']): unknown {
  const { toJSONSchema, toJsonSchema } = (schema ?? {}) as Record<string, unknown>;
  try {
    const tell = toJSONSchema ?? toJsonSchema;
    return typeof tell === 'function' ? (tell.call(schema) as unknown) : schema?.['~standard'].vendor;
  } catch {
    return schema?.['~standard'].vendor;
  }
}

/** Names in order, functions as their text. */
function toPlain(value: unknown): unknown {
  if (typeof value === 'function') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toPlain);
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, toPlain((value as Record<string, unknown>)[name])]));
}
