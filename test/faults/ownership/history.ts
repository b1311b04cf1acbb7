// What each person of a fight writes down, one line of JSON at a time, and how it is read. `mono` is the machine's monotonic clock, the
// same for all processes; `at` its wall clock, which is Redis's too, for they run on one machine.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export type Said =
  | { what: 'asked'; ask: string; isForced: boolean }
  /** Instants by Redis; `isForced` when somebody who had it was displaced. */
  | { what: 'granted'; ask: string; token: number; fromAt: number; untilAt: number; isForced: boolean }
  | { what: 'refused'; ask: string }
  | { what: 'renewed'; token: number; untilAt: number }
  /** Before it is given back, and after. */
  | { what: 'releasing' | 'released'; token: number }
  /** By the holder's own clock, or because Redis said so. */
  | { what: 'lost'; token: number };

export type Line = Said & { who: string; pid: number; at: number; mono: number };

export function createScribe(file: string, who: string): (said: Said) => void {
  return (said) => {
    const mono = Number(process.hrtime.bigint()) / 1e6;
    const line: Line = { who, pid: process.pid, at: Date.now(), mono, ...said };
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  };
}

/** Of one person, in the order in which they were written; the last may be half written where its writer was killed. */
export function readHistory(file: string): Line[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Line);
}
