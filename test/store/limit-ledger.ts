// What users of a limit wrote down, read: the most that ran at once, the most in any sliding interval, and how many.

import { readFileSync } from 'node:fs';

export interface Entry {
  pod: string;
  lane: string;
  beganMs: number;
  endedMs: number;
}

/**
 * What ran when its pod was killed or stopped, `haltedMs` by pod, ended then: a pod that wakes writes the end of such work down when
 * it wakes, before anybody else knows that it is awake, and it did nothing meanwhile. What else has no end runs still.
 */
export function readLedger(file: string, haltedMs: Record<string, number[]> = {}): Entry[] {
  const entries = new Map<string, Entry>();
  let lines: string[] = [];
  try {
    lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  } catch {} // nobody began yet
  for (const line of lines) {
    const [pod = '', lane = '', id, what, at] = line.split(' ');
    const entry = entries.get(`${pod} ${lane} ${id}`);
    if (what === 'begin') {
      entries.set(`${pod} ${lane} ${id}`, { pod, lane, beganMs: Number(at), endedMs: Number.POSITIVE_INFINITY });
    } else if (entry) entry.endedMs = Number(at);
  }
  for (const entry of entries.values()) {
    const halts = haltedMs[entry.pod]?.filter((atMs) => atMs > entry.beganMs) ?? [];
    entry.endedMs = Math.min(entry.endedMs, ...halts);
  }
  return [...entries.values()].sort((a, b) => a.beganMs - b.beganMs);
}

export function mostAtOnce(entries: Entry[]): number {
  const steps = entries.flatMap(({ beganMs, endedMs }) => [[beganMs, 1] as const, [endedMs, -1] as const]);
  steps.sort(([a, up], [b, other]) => a - b || up - other);
  let running = 0;
  let most = 0;
  for (const [, step] of steps) {
    running += step;
    most = Math.max(most, running);
  }
  return most;
}

/** Of begins in any interval of that length. */
export function mostWithin(entries: Entry[], perMs: number): number {
  let most = 0;
  for (let from = 0, to = 0; to < entries.length; to++) {
    while ((entries[to] as Entry).beganMs - (entries[from] as Entry).beganMs >= perMs) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

export function countBy(entries: Entry[], what: 'pod' | 'lane'): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const entry of entries) counts[entry[what]] = (counts[entry[what]] ?? 0) + 1;
  return counts;
}

/** The machine's monotonic clock, as the users have it. */
export const machineMs = () => Number(process.hrtime.bigint() / 1000n) / 1000;
