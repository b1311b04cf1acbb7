// The measured workers, each in a process of its own with the same flags of node: ours is the built `lanekeeper worker`, as
// users run it, its log going to a file nobody reads; raw is a BullMQ Worker.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../scripts/prepare.js';
import { createKeys } from '../src/words/keys.ts';
import type { Store } from './store.ts';

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Throws when it has ended: nobody waits for what it will not do. */
  expectAlive(): void;
  /** CPU ms of the process so far; undefined where the system does not say. */
  cpuMs(): number | undefined;
  stop(): Promise<void>;
}

export interface WorkerOptions {
  prefix: string;
  mode?: 'noop' | 'step' | 'latency' | 'slow' | 'request';
  /** Of raw: another of bench/children, with its arguments. */
  child?: readonly [file: string, ...args: string[]];
  /** Of ours. Default: as shipped, 'info'. */
  logLevel?: string;
  /** Of ours. Default: the one measured lane. */
  fleet?: string;
  env?: Record<string, string>;
  flags?: string[];
}

/** Flags of a worker whose commands are to be counted. */
export const COUNTING = ['--import', join(ROOT, 'bench', 'children', 'count-commands.js')];

/** What all of them together have sent to Redis so far. */
export async function countCommands(workers: readonly WorkerProcess[]): Promise<number> {
  const counts = await Promise.all(
    workers.map(async ({ child }) => {
      const told = once(child, 'message');
      child.send('commands');
      return ((await told)[0] as { commands: number }).commands;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

export async function startWorker(kind: 'raw' | 'ours', store: Store, options: WorkerOptions): Promise<WorkerProcess> {
  const { prefix, mode = 'noop', logLevel = 'info', fleet = join(ROOT, 'bench', 'fleet') } = options;
  const [childFile, ...childArgs] = options.child ?? ['raw-worker.js'];
  const ours = [join(ROOT, 'dist', 'main.js'), 'worker', '--dir', fleet, '--concurrency', '100'] as const;
  const [file, ...args] = kind === 'ours' ? ours : [join(ROOT, 'bench', 'children', childFile), ...childArgs];
  const nowhere = openSync('/dev/null', 'w');
  const child = fork(file, args, {
    execArgv: options.flags ?? [],
    stdio: ['ignore', 'inherit', kind === 'ours' ? nowhere : 'inherit', 'ipc'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      REDIS_URL: store.url,
      BENCH_PREFIX: bullPrefix(kind, prefix),
      BENCH_MODE: mode,
      LANEKEEPER_PREFIX: prefix,
      LANEKEEPER_METRICS_PORT: '0',
      LOG_LEVEL: logLevel,
      ...options.env,
    },
  });
  closeSync(nowhere);
  // The first message of either says that it is ready, unless a job came first: that says so as well.
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the ${kind} worker ended with ${code}`))),
  ]);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    child,
    expectAlive() {
      if (hasEnded()) throw new Error(`the ${kind} worker ended with ${child.signalCode ?? child.exitCode}`);
    },
    cpuMs: () => readCpuMs(child.pid as number),
    async stop() {
      if (hasEnded()) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** BullMQ's own prefix for the measured queue, in both variants `<this>:noop:…`. */
export function bullPrefix(kind: 'raw' | 'ours', prefix: string): string {
  return kind === 'raw' ? prefix : createKeys(prefix).queuePrefix({ name: 'noop', tag: 'noop' });
}

function readCpuMs(pid: number): number | undefined {
  try {
    // Fields 14 and 15, user and system, in ticks of 10 ms; the name in brackets before them may hold spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}
