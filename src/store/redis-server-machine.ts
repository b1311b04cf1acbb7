// How the search for a Redis server touches the machine: it runs programs, and that is all. Tests hand in a machine that
// answers as another one would: without apt, with brew, with nothing at all.

import { spawn } from 'node:child_process';

export interface RunResult {
  /** null: the program is not there, could not be started, or did not end in time. */
  code: number | null;
  stdout: string;
  /** stderr, or why it could not be run. */
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  /** Default 10 s: enough for every question; what downloads gives its own. */
  timeoutMs?: number;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly isRoot: boolean;
  /** Runs a program found on PATH, with these arguments and no shell, no terminal and English answers. Never throws. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
}

export const thisMachine: Machine = Object.freeze({
  platform: process.platform,
  isRoot: process.getuid?.() === 0,
  run: runProgram,
});

function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, timeoutMs = 10_000 } = options;
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    // Its own process group, so that a time-out ends the helpers apt and brew start as well. stdin is empty: what would
    // ask a question gets no answer and fails, instead of waiting for ever.
    const child = spawn(program, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => {
      stderr += `\nno end after ${timeoutMs / 1_000} s`;
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // ended in this very moment
      }
    }, timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const finish = (code: number | null, extra = '') => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr: stderr + extra });
    };
    child.on('error', (error) => finish(null, error.message));
    child.on('close', (code) => finish(code));
  });
}
