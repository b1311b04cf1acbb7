// The texts in the hash of an upstream's limits (words/keys), read: what the definitions say, what somebody ordered, and who
// holds what.

import type { Limit, LimitDriverName, LimitKind } from '../words/limit.ts';

/** All of a limit but its name, which is in the field. */
export type LimitDefined = Omit<Limit, 'name'>;

/** A size that somebody ordered while everything runs; it wins over the definitions. */
export interface Override {
  size: number;
  who: string;
  reason: string;
  setAt: number;
  /** null: until it is reset. */
  untilAt: number | null;
}

/** What one pod's definition says. */
export interface PodDefinition {
  at: number;
  driver: LimitDriverName;
  limits: readonly Limit[];
}

export function parseDefined(text: string): LimitDefined | undefined {
  if (text === '') return undefined;
  const [kind, size, perMs, byAgent] = text.split(' ');
  return { kind: kind as LimitKind, size: Number(size), perMs: Number(perMs), byAgent: byAgent === '1' };
}

/** Undefined when there is none, or its time is up. */
export function parseOverride(json: string, nowAt: number): Override | undefined {
  if (json === '') return undefined;
  const { at, until, ...order } = JSON.parse(json) as Omit<Override, 'setAt' | 'untilAt'> & {
    at: number;
    until: number | null;
  };
  return until !== null && until <= nowAt ? undefined : { ...order, setAt: at, untilAt: until };
}

export function parsePodDefinition(json: string): PodDefinition {
  return JSON.parse(json) as PodDefinition;
}

export interface Holder {
  lane: string;
  pod: string;
  count: number;
}

/** '<lane>|<pod>', count, … */
export function toHolders(flat: readonly (string | number)[]): Holder[] {
  const holders = Array.from({ length: flat.length / 2 }, (_, index) => {
    const [lane = '', ...pod] = String(flat[2 * index]).split('|');
    return { lane, pod: pod.join('|'), count: Number(flat[2 * index + 1]) };
  });
  return holders.sort((a, b) => b.count - a.count || a.lane.localeCompare(b.lane) || a.pod.localeCompare(b.pod));
}
