// A run's record outside Redis: one file per run, to which every process of the run appends a line at a time. What a killed
// process wrote before is in it: the write is done when the call returns.

import { appendFileSync, readFileSync } from 'node:fs';
import type { CrashPoint } from '../../../src/words/crash-point.ts';

export interface Begin {
  what: 'begin';
  lane: string;
  n: number;
  attempt: number;
}

/** Something a user would see. `step` is null when it happened in no step. */
export interface Effect {
  what: 'effect';
  step: string | null;
}

/** The handler heard that a step is kept. */
export interface Kept {
  what: 'kept';
  step: string;
}

/** The handler is about to return or throw. */
export interface End {
  what: 'end';
  how: 'done' | 'thrown' | 'parked';
}

/** What a start of a job wrote. */
export type StartLine = (Begin | Effect | Kept | End) & { id: string; fence: number; pid: number };

export type Line =
  | StartLine
  /** The caller heard that its add is in. */
  | { what: 'accepted'; n: number; id: string; pid: number }
  | { what: 'crash'; at: CrashPoint; pid: number };

export function write(file: string, line: Line): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

export function readLines(file: string): Line[] {
  const text = readFileSync(file, 'utf8').trimEnd();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Line);
}
