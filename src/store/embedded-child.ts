// The server as a child that cannot outlive its owner. Between them stands a guardian, a small sh whose stdin is a pipe from
// the owner: when the owner is gone, however it went, the pipe ends and the guardian stops the server. Both are in a process
// group of their own, so Ctrl-C in a terminal does not take Redis away from pods that are still draining.

import { spawn } from 'node:child_process';
import { LanekeeperError } from '../words/errors.ts';
import { isAlive, signal } from './embedded-process.ts';

/** Redis ends within milliseconds of SIGTERM unless its disk hangs; the guardian waits this long before SIGKILL. */
const GRACE_S = 10;

// Notes, each tried with dash: a background job gets /dev/null as stdin before its redirections, so the pipe is kept as fd 3;
// `read` is built in, so nothing of it survives the guardian, as `cat` would; `wait` returns early when a trapped signal
// comes, so it is repeated while the server lives; SIGCONT lets a stopped server take its SIGTERM.
const GUARDIAN = `
log=$1 pidfile=$2; shift 2
PATH="\${PATH:+$PATH:}/usr/bin:/bin"
exec 3<&0 </dev/null 2>>"$log"
/bin/sh -c 'echo $$ >"$0" && exec "$@"' "$pidfile" "$@" >>"$log" 2>&1 3<&- &
p=$!
trap 'kill -TERM $p; kill -CONT $p' TERM INT HUP
echo "$p"
exec >/dev/null
(
  while read -r line <&3; do :; done
  kill -TERM $p; kill -CONT $p
  n=0
  while [ $n -lt ${GRACE_S} ] && kill -0 $p; do sleep 1; n=$((n + 1)); done
  kill -KILL $p
) 2>/dev/null &
watcher=$!
exec 3<&-
while wait $p; code=$?; kill -0 $p 2>/dev/null; do :; done
kill $watcher 2>/dev/null
exit $code
`;

export interface Child {
  /** Of the server, not of its guardian. */
  readonly pid: number;
  /** The guardian's exit status once server and guardian are gone; above 128, it is 128 plus the signal. */
  readonly exited: Promise<number>;
  /** Ends the server, waits until it is gone. */
  stop(): Promise<void>;
}

export async function startChild(argv: readonly string[], logPath: string, pidPath: string): Promise<Child> {
  const guardian = spawn('/bin/sh', ['-c', GUARDIAN, 'sh', logPath, pidPath, ...argv], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  guardian.stdin.on('error', () => {}); // nothing is ever written; a broken pipe is told by the exit
  const ended = new Promise<number | null>((resolve) => guardian.on('exit', resolve));
  const pid = await new Promise<number>((resolve, reject) => {
    let text = '';
    guardian.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(Number(text));
    });
    const fail = (why: string) => {
      const expected = 'expected /bin/sh to start the Redis server';
      reject(new LanekeeperError('LK_REDIS_DOWN', `${expected}, it ${why}; can ${logPath} be written to?`));
    };
    guardian.on('error', (error) => fail(`failed with ${error.message}`));
    guardian.on('exit', (code) => fail(`ended at once with status ${code}`));
  });
  guardian.stdout.destroy();
  const exited = ended.then(async (code) => {
    // A guardian that was itself killed has no code, and leaves a server that nobody would stop.
    if (code === null) await endProcess(pid).catch(() => {});
    return code ?? 137;
  });
  // A program with nothing left to do may end; the server then ends with it.
  guardian.unref();
  (guardian.stdin as { unref?: () => void }).unref?.();

  return {
    pid,
    exited,
    async stop() {
      guardian.ref();
      guardian.stdin.destroy();
      const limit = new AbortController();
      await Promise.race([exited, sleep((GRACE_S + 2) * 1_000, limit.signal)]);
      limit.abort();
      // Only a guardian that was itself stopped or lost gets here late.
      if (guardian.exitCode === null && guardian.signalCode === null) guardian.kill('SIGKILL');
      await exited;
    },
  };
}

/** SIGTERM, then SIGKILL to what does not listen. Returns when it is gone; throws when it may not be signalled at all. */
export async function endProcess(pid: number, graceMs = GRACE_S * 1_000): Promise<void> {
  if (!(await isAlive(pid))) return;
  signal(pid, 'SIGTERM');
  signal(pid, 'SIGCONT');
  for (let waitedMs = 0; await isAlive(pid); waitedMs += 20) {
    if (waitedMs >= graceMs) signal(pid, 'SIGKILL');
    if (waitedMs >= graceMs + 5_000) throw new Error(`process ${pid} does not end, not even by SIGKILL`);
    await sleep(20);
  }
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
