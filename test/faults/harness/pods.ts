// Pods as real processes of `lanekeeper worker`, signalled by pid and always taken down: also those that are stopped, also
// when the test process dies first.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../../../scripts/prepare.js';
import { systemClock } from '../../../src/words/clock.ts';

const MAIN = join(ROOT, 'dist', 'main.js');
const FLEET = join(ROOT, 'test', 'faults', 'fleet');
/** Loading TypeScript definitions takes a second; a crowded machine takes many. */
const READY_MS = 60_000;

export interface PodExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  at: number;
}

export interface ArenaPod {
  /** What its requests call it. */
  readonly label: string;
  /** What the journal calls it. */
  readonly name: string;
  /** Where it listens. */
  readonly url: string;
  readonly pid: number;
  readonly exit: PodExit | undefined;
  readonly exited: Promise<PodExit>;
  /** How many lines of its log say this. */
  said(what: string): number;
  readonly lastWords: string;
  signal(signal: NodeJS.Signals): void;
}

export interface PodStart {
  label: string;
  concurrency?: number;
  drain?: string;
  env: NodeJS.ProcessEnv;
}

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export async function startPod({ label, concurrency = 64, drain = '20s', env }: PodStart): Promise<ArenaPod> {
  const args = ['worker', '--dir', FLEET, '--concurrency', String(concurrency), '--drain', drain];
  return startProcess(label, [MAIN, ...args], {
    ...process.env,
    ...env,
    FAULTS_POD: label,
    LANEKEEPER_METRICS_PORT: '0',
    LOG_LEVEL: 'warn',
  });
}

/** Any process that says over its channel when it is ready. */
export async function startProcess(label: string, argv: string[], env: NodeJS.ProcessEnv): Promise<ArenaPod> {
  const child = spawn(process.execPath, argv, { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  alive.add(child);
  const counts = new Map<string, number>();
  const tail: string[] = [];
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
    const said = toMessage(line);
    counts.set(said, (counts.get(said) ?? 0) + 1);
    tail.push(line.slice(0, 300));
    if (tail.length > 8) tail.shift();
  });
  let exit: PodExit | undefined;
  const exited = new Promise<PodExit>((resolve) => {
    child.once('exit', (code, signal) => {
      alive.delete(child);
      exit = { code, signal, at: systemClock.now() };
      resolve(exit);
    });
  });
  const { pod: name = '', url = '' } = await readyFacts(child, exited, () => tail.join('\n'));
  return {
    label,
    name,
    url,
    pid: child.pid as number,
    exited,
    get exit() {
      return exit;
    },
    get lastWords() {
      return tail.join('\n');
    },
    said: (what) => counts.get(what) ?? 0,
    signal(signal) {
      if (!exit) process.kill(child.pid as number, signal);
    },
  };
}

interface ReadyFacts {
  pod?: string;
  url?: string;
}

async function readyFacts(child: ChildProcess, exited: Promise<PodExit>, words: () => string): Promise<ReadyFacts> {
  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<ReadyFacts>((resolve, reject) => {
    child.once('message', (facts: ReadyFacts) => resolve(facts));
    timer = setTimeout(() => reject(new Error(`no pod within ${READY_MS} ms: ${words()}`)), READY_MS);
    void exited.then(({ code, signal }) =>
      reject(new Error(`a pod ended at its start (${code ?? signal}): ${words()}`)),
    );
  });
  try {
    return await ready;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function toMessage(line: string): string {
  try {
    return String((JSON.parse(line) as { msg?: string }).msg);
  } catch {
    return 'text';
  }
}
