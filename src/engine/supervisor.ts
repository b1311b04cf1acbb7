// Keeps child processes running: one that dies is started again, at once the first time, then ever slower while it keeps
// dying young. Children have their own process group, so that Ctrl-C reaches only us and we decide the order of leaving.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { systemClock } from '../words/clock.ts';

/** A child that lived this long had started well; its death starts the count anew. */
const YOUNG_MS = 10_000;
const MAX_PAUSE_MS = 10_000;

export interface ChildSpec {
  name: string;
  args: string[];
  env: NodeJS.ProcessEnv;
}

export interface SupervisorOptions {
  onLine: (child: string, line: string) => void;
  /** What a child says of itself once it is ready. */
  onReady: (child: string, facts: Record<string, unknown>) => void;
  onExit: (child: string, how: string, restartInMs: number) => void;
}

export interface Supervisor {
  start(spec: ChildSpec): void;
  /** Asks every child to leave; asking again hurries them. Resolves when all are gone. */
  stop(): Promise<void>;
  readonly pids: ReadonlyMap<string, number>;
}

export function createSupervisor({ onLine, onReady, onExit }: SupervisorOptions): Supervisor {
  const children = new Map<string, ChildProcess>();
  const timers = new Map<string, NodeJS.Timeout>();
  const goneWaiters: (() => void)[] = [];
  let isStopping = false;

  function run(spec: ChildSpec, deaths: number): void {
    const bornAt = systemClock.mono();
    const child = spawn(process.execPath, spec.args, {
      env: spec.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    children.set(spec.name, child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => onLine(spec.name, line));
    }
    child.on('message', (message) => onReady(spec.name, message as Record<string, unknown>));
    child.on('error', (error) => onLine(spec.name, String(error)));
    child.once('exit', (code, signal) => {
      children.delete(spec.name);
      if (isStopping) {
        if (children.size === 0) for (const resolve of goneWaiters.splice(0)) resolve();
        return;
      }
      const count = systemClock.mono() - bornAt > YOUNG_MS ? 1 : deaths + 1;
      const pauseMs = count === 1 ? 0 : Math.min(250 * 2 ** count, MAX_PAUSE_MS);
      onExit(spec.name, signal ?? `exit code ${code}`, pauseMs);
      timers.set(
        spec.name,
        setTimeout(() => run(spec, count), pauseMs),
      );
    });
  }

  return {
    start: (spec) => run(spec, 0),
    stop() {
      isStopping = true;
      for (const timer of timers.values()) clearTimeout(timer);
      for (const child of children.values()) child.kill('SIGTERM');
      return children.size === 0 ? Promise.resolve() : new Promise((resolve) => goneWaiters.push(resolve));
    },
    get pids() {
      return new Map([...children].map(([name, { pid }]) => [name, pid ?? 0]));
    },
  };
}
