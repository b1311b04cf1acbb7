// A process of the crash build, seen from the test: told what to do, asked whether it did, killed when the test is over.

import { type ChildProcess, fork } from 'node:child_process';

const READY_MS = 60_000;

export interface ToldProcess {
  readonly pid: number;
  readonly exit: NodeJS.Signals | number | undefined;
  /** Rejects when the process says it could not; never answers when the process dies. */
  tell(order: object): Promise<void>;
  /** Resolves with how it ended. */
  readonly exited: Promise<NodeJS.Signals | number>;
  kill(): void;
}

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export async function startToldProcess(program: string, env: NodeJS.ProcessEnv): Promise<ToldProcess> {
  const child = fork(program, {
    env: { ...process.env, ...env },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  alive.add(child);
  let words = '';
  child.stderr?.on('data', (chunk) => {
    words = (words + chunk).slice(-2_000);
  });
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let exit: NodeJS.Signals | number | undefined;
  const exited = new Promise<NodeJS.Signals | number>((resolve) => {
    child.once('exit', (code, signal) => {
      alive.delete(child);
      exit = signal ?? code ?? 0;
      resolve(exit);
    });
  });
  child.on('error', () => {}); // an order that was on its way when it died
  child.on('message', ({ id, problem }: { id: number; problem?: string }) => {
    if (problem === undefined) waiting.get(id)?.resolve();
    else waiting.get(id)?.reject(new Error(problem));
    waiting.delete(id);
  });
  let last = 0;
  const answer = (id: number) => new Promise<void>((resolve, reject) => waiting.set(id, { resolve, reject }));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no process within ${READY_MS} ms: ${words}`)), READY_MS);
    void exited.then((how) => reject(new Error(`a process ended at its start (${how}): ${words}`)));
  });
  late.catch(() => {});
  try {
    await Promise.race([answer(0), late]);
  } finally {
    clearTimeout(timer);
  }
  return {
    pid: child.pid as number,
    exited,
    get exit() {
      return exit;
    },
    tell(order) {
      last++;
      const told = answer(last);
      child.send({ id: last, order });
      return told;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
