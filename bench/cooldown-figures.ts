// What the record of an upstream says of windows: how late each was used, and how much of the time that could be used was.

import type { Arrival } from '../test/faults/limits/upstream-process.ts';

export interface Window {
  agent: string;
  /** The last answer plus the cooldown. */
  opensAt: number;
  /** The arrival before. */
  actedAt: number;
  /** The next arrival that was not refused; Infinity when there was none. */
  usedAt: number;
}

export const isRefused = ({ status }: Arrival): boolean => status === 429;

/** In order of opening. What was refused used none. */
export function findWindows(acts: readonly Arrival[], cooldownMs: number): Window[] {
  const windows: Window[] = [];
  const last = new Map<string, Window>();
  for (const { agent, at, endedAt, ...act } of acts) {
    if (agent === null || isRefused({ agent, at, endedAt, ...act })) continue;
    const before = last.get(agent);
    if (before) before.usedAt = at;
    const window = { agent, opensAt: endedAt + cooldownMs, actedAt: at, usedAt: Number.POSITIVE_INFINITY };
    last.set(agent, window);
    windows.push(window);
  }
  return windows.sort((a, b) => a.opensAt - b.opensAt);
}

/** From its opening to its use, of those that were used in a span. */
export function latenessOf(windows: readonly Window[], fromAt: number, untilAt: number): number[] {
  return windows
    .filter(({ usedAt }) => usedAt >= fromAt && usedAt < untilAt)
    .map(({ usedAt, opensAt }) => usedAt - opensAt);
}

/** Of those too that still stood open at the end: an agent that nobody uses any more is no use. */
export function shareUsed(windows: readonly Window[], fromAt: number, untilAt: number): number {
  let needed = 0;
  let taken = 0;
  for (const { opensAt, actedAt, usedAt } of windows) {
    if (usedAt < fromAt || opensAt >= untilAt) continue;
    needed += opensAt - actedAt;
    taken += Math.min(usedAt, untilAt) - actedAt;
  }
  return needed / taken;
}
