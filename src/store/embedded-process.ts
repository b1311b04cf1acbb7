// Which process a pid means. A pid alone is reused; together with the start of the process it is not.

import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  pid: number;
  /** When the process started, in a form that only compares: ticks since boot on Linux, ps's text elsewhere. */
  start: string;
  host: string;
  /** The boot and pid namespace that the pid belongs to; '' where there is no such thing. */
  space: string;
}

export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  const start = await startOf(pid);
  return start === undefined ? undefined : { pid, start, host: hostname(), space: await pidSpace() };
}

/** 'unknown': it belongs to another machine or container, into which we cannot look. */
export async function stateOf(identity: ProcessIdentity): Promise<'alive' | 'gone' | 'unknown'> {
  const isHere = identity.host === hostname() || (identity.space !== '' && identity.space === (await pidSpace()));
  if (!isHere) return 'unknown';
  return (await startOf(identity.pid)) === identity.start ? 'alive' : 'gone';
}

export async function isAlive(pid: number): Promise<boolean> {
  return (await startOf(pid)) !== undefined;
}

/** The arguments it runs with, for recognizing a program of ours; '' when there is no such process. */
export async function commandLineOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') return ps(pid, 'command=');
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.replaceAll('\0', ' ').trim();
}

/** Sends a signal; a process that is gone already is fine. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** undefined: no such process, or a zombie, which does nothing any more but waits for its parent to notice. */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    const [state = '', ...start] = (await ps(pid, 'state=,lstart=')).split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : start.join(' ');
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in brackets and may hold anything, brackets too: what follows the last one counts.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (stat !== '') return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${fields[19]}`;
  return isHidden(pid) ? 'hidden' : undefined;
}

/** With /proc mounted hidepid another user's process cannot be read, but it can be seen to be there. */
function isHidden(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

let space: Promise<string> | undefined;

function pidSpace(): Promise<string> {
  space ??= Promise.all([readFile('/proc/sys/kernel/random/boot_id', 'utf8'), readlink('/proc/self/ns/pid')]).then(
    ([boot, namespace]) => `${boot.trim()} ${namespace}`,
    () => '',
  );
  return space;
}

function ps(pid: number, format: string): Promise<string> {
  return new Promise((resolve) => {
    // -ww: never cut to a terminal's width. The date must read the same whatever language and zone the asker has.
    execFile('env', ['LC_ALL=C', 'TZ=UTC', 'ps', '-ww', '-o', format, '-p', String(pid)], (error, stdout) =>
      resolve(error ? '' : stdout.trim()),
    );
  });
}
