// What definitions share: the brand by which a loaded folder's exports are known, whichever copy of the package made them,
// and the small readers of their options.

import { DURATION_FORM, toDurationMs } from '../words/duration.ts';

const BRAND = Symbol.for('lanekeeper.definition');

export type DefinitionKind = 'lane' | 'upstream' | 'handler' | 'probe';

export function brand<T extends object, K extends DefinitionKind>(kind: K, definition: T): Readonly<T> {
  return Object.freeze(Object.defineProperty(definition, BRAND, { value: kind }));
}

export function definitionKind(value: unknown): DefinitionKind | undefined {
  try {
    return typeof value === 'object' && value !== null ? (value as { [BRAND]?: DefinitionKind })[BRAND] : undefined;
  } catch {
    return undefined; // a proxy that throws when it is looked at
  }
}

/** A name that is safe in a key, a label, a path and a shell. */
export const NAME_FORM = "a name of a-z, 0-9, '-' and '_', at most 63, such as 'publish'";

export function toName(value: unknown): string | undefined {
  return typeof value === 'string' && /^[a-z0-9][a-z0-9_-]{0,62}$/.test(value) ? value : undefined;
}

export function toCount(min: number, max: number): (value: unknown) => number | undefined {
  return (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}

/** A duration that must let something happen: zero is refused. */
export function toPositiveMs(value: unknown): number | undefined {
  const ms = toDurationMs(value);
  return ms === 0 ? undefined : ms;
}

export { DURATION_FORM, toDurationMs };
