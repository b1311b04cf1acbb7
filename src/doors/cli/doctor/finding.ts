// What a check of doctor answers: one line that says what it saw and, unless all is well, what to do.

import { paint, type Style, say, toOneLine } from '../print.ts';

export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail';
  says: string;
  /** Absent when all is well. */
  todo?: string;
}

export function ok(check: string, says: string): Finding {
  return { check, status: 'ok', says };
}

export function warn(check: string, says: string, todo: string): Finding {
  return { check, status: 'warn', says, todo };
}

export function fail(check: string, says: string, todo: string): Finding {
  return { check, status: 'fail', says, todo };
}

const STYLES: Record<Finding['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' };

export function sayFinding({ check, status, says, todo }: Finding): void {
  const line = toOneLine(todo === undefined ? says : `${says}; ${todo}`);
  say(`${paint(STYLES[status], status.padEnd(4))}  ${check.padEnd(14)}  ${line}`);
}
