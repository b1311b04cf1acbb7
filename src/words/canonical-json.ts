// One text for one JSON value: the names of every object in one order, no blanks. Two payloads are the same if their texts are.

/** Of what JSON.stringify would write: a Date and its text are the same value. */
export function toCanonicalJson(value: unknown): string {
  return JSON.stringify(value, inOrder);
}

function inOrder(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(byName));
}

function byName([one]: [string, unknown], [other]: [string, unknown]): number {
  return one < other ? -1 : 1;
}
