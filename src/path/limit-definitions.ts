// Which limits an upstream has: what its pods have agreed on, what each live pod's definition says, and where these differ.

import { type LimitDefined, parseDefined, parsePodDefinition } from '../store/limit-fields.ts';
import type { Limit, LimitDriverName } from '../words/limit.ts';
import type { Upstream } from './upstream.ts';

export interface Drift {
  limit: string;
  /** The strictest first; a size of null: not in their definition. */
  sizes: { size: number | null; pods: string[] }[];
}

/** Pods have chosen different drivers. Two would each grant the whole limit, so that one's pods are granted nothing. */
export interface DriverSplit {
  /** The one that grants: its pods were there first. */
  granting: { driver: LimitDriverName; pods: string[] };
  waiting: { driver: LimitDriverName; pods: string[] };
}

interface Said {
  pod: string;
  driver: LimitDriverName;
  limits: readonly Limit[];
}

/** A definition that its pod has not said again for so long is its no more. */
const SAID_FOR_MS = 60_000;

/** `fields` are those of the hash of what its pods say. */
export function saidByPods(fields: ReadonlyMap<string, string>, nowAt: number): Said[] {
  return [...fields].flatMap(([field, text]) => {
    if (!field.startsWith('def:')) return [];
    const { at, ...said } = parsePodDefinition(text);
    return nowAt - at < SAID_FOR_MS ? [{ pod: field.slice('def:'.length), ...said }] : [];
  });
}

/**
 * What the pods agreed on counts, before that the strictest of what they say, and where none runs the folder that is looked from:
 * a limit of a folder that is not deployed holds for nobody.
 */
export function knownLimits(
  upstream: Upstream,
  fields: ReadonlyMap<string, string>,
  said: readonly Said[],
): Map<string, LimitDefined> {
  const known = new Map<string, LimitDefined>();
  const definitions = said.length > 0 ? said.flatMap(({ limits }) => limits) : (upstream.limits?.limits ?? []);
  for (const { name, ...limit } of definitions) {
    const other = known.get(name);
    if (!other || limit.size < other.size) known.set(name, limit);
  }
  for (const [field, text] of fields) {
    const agreed = field.startsWith('lim:') ? parseDefined(text) : undefined;
    if (agreed) known.set(field.slice('lim:'.length), agreed);
  }
  return known;
}

export function findSplit(said: readonly Said[], granting: LimitDriverName): DriverSplit | null {
  const podsOf = (isOfIt: (driver: LimitDriverName) => boolean) =>
    said.filter(({ driver }) => isOfIt(driver)).map(({ pod }) => pod);
  const other = said.find(({ driver }) => driver !== granting)?.driver;
  const pods = podsOf((driver) => driver === granting).sort();
  if (other === undefined || pods.length === 0) return null;
  return {
    granting: { driver: granting, pods },
    waiting: { driver: other, pods: podsOf((it) => it === other).sort() },
  };
}

export function findDrift(said: readonly Said[]): Drift[] {
  const names = [...new Set(said.flatMap(({ limits }) => limits.map(({ name }) => name)))];
  return names.flatMap((limit) => {
    const bySize = new Map<number | null, string[]>();
    for (const { pod, limits } of said) {
      const size = limits.find(({ name }) => name === limit)?.size ?? null;
      bySize.set(size, [...(bySize.get(size) ?? []), pod].sort());
    }
    const sizes = [...bySize].map(([size, pods]) => ({ size, pods }));
    sizes.sort((a, b) => (a.size ?? Number.POSITIVE_INFINITY) - (b.size ?? Number.POSITIVE_INFINITY));
    return sizes.length > 1 ? [{ limit, sizes }] : [];
  });
}
