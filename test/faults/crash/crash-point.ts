// What stands in the place of src/words/crash-point in the crash build: the process kills itself at the n-th pass of the point
// that its environment names. Before it does, it writes down where, in the run's record.

import { appendFileSync } from 'node:fs';

const { FAULTS_CRASH_AT, FAULTS_CRASH_PASS, FAULTS_CRASH_RECORD } = process.env;

let passesLeft = Number(FAULTS_CRASH_PASS);

export function crashPoint(name: string): void {
  if (name !== FAULTS_CRASH_AT) return;
  passesLeft--;
  if (passesLeft !== 0) return;
  appendFileSync(FAULTS_CRASH_RECORD ?? '', `${JSON.stringify({ what: 'crash', at: name, pid: process.pid })}\n`);
  process.kill(process.pid, 'SIGKILL');
  // The signal may take a moment; nothing of this process may happen in it.
  for (;;);
}
