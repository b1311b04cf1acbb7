// One start of the server on a prepared folder: a port, the config file, the child, and the wait until it answers. Used for
// the first start and for every restart.

import { randomInt } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError } from '../words/errors.ts';
import { pingRedis } from './embedded-ask.ts';
import { type Child, sleep, startChild } from './embedded-child.ts';
import { type ServerConf, type ServerFolder, writeConf } from './embedded-conf.ts';
import { containerPid, dockerArgv, removeContainer } from './embedded-docker.ts';
import { toUrl } from './embedded-leftover.ts';
import type { RedisServerCommand } from './redis-server-program.ts';

/** No answer at all for this long is a failure; while it says LOADING it may take as long as its data needs. */
const SILENT_MS = 30_000;
const POLL_MS = 20;

export interface Server {
  /** Of the server itself, also where the child is a Docker client and the server runs on this kernel. */
  readonly pid: number;
  readonly exited: Promise<number>;
  stop(): Promise<void>;
}

/** 'port-taken' is told apart because another port cures it. */
export async function startServer(
  command: RedisServerCommand,
  folder: ServerFolder,
  conf: ServerConf,
  say: (line: string) => void,
  clock: Clock,
): Promise<Server | 'port-taken'> {
  await writeConf(folder, conf, command.kind === 'docker');
  if (command.kind === 'docker') await removeContainer(command.argv, folder); // one of that name is left-over: we hold the lock
  const logStart = await sizeOf(folder.logPath);
  const argv = command.kind === 'docker' ? dockerArgv(command, folder, conf) : [...command.argv, folder.confPath];
  const child = await startChild(argv, folder.logPath, folder.pidPath);
  const stop = async () => {
    await child.stop();
    if (command.kind === 'docker') await removeContainer(command.argv, folder);
  };
  try {
    await untilReady(child, toUrl(conf.port, conf.password), say, clock);
  } catch (error) {
    await stop();
    const log = (await readFile(folder.logPath).catch(() => Buffer.of())).subarray(logStart).toString();
    if (/address already in use|port is already allocated/i.test(log)) return 'port-taken';
    throw new LanekeeperError(
      'LK_REDIS_DOWN',
      `${(error as Error).message}; its log (${folder.logPath}) ends: ${tail(log)}`,
    );
  }
  const inside = command.kind === 'docker' ? await containerPid(command.argv, folder) : undefined;
  return { pid: inside ?? child.pid, exited: child.exited, stop };
}

/**
 * A port that is free now; `wanted` if it is. Chosen below 32768, where Linux (and macOS, 49152) begin to give ports to
 * outgoing connections: while the server is away such a connection could take its port, and a client that tries again and
 * again to connect there could even be connected to itself. It may still be taken before the server has it: choose anew.
 */
export async function freePort(wanted?: number): Promise<number> {
  if (wanted !== undefined && (await isFree(wanted))) return wanted;
  for (;;) {
    const port = randomInt(20_000, 32_768);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

async function untilReady(child: Child, url: string, say: (line: string) => void, clock: Clock): Promise<void> {
  let status: number | undefined;
  const ended = child.exited.then((code) => {
    status = code;
    return 'silent' as const;
  });
  let heardAt = clock.mono();
  let saidLoading = false;
  while (clock.mono() - heardAt < SILENT_MS) {
    const state = await Promise.race([pingRedis(url), ended]);
    // Looked at after the answer: what answers while ours has died is not ours.
    if (status !== undefined) throw new Error(`the Redis server ended at its start with status ${status}`);
    if (state === 'ready') return;
    if (state === 'loading') heardAt = clock.mono();
    if (state === 'loading' && !saidLoading) say('the Redis server reads its data');
    saidLoading ||= state === 'loading';
    await sleep(POLL_MS);
  }
  throw new Error(`the Redis server did not answer within ${SILENT_MS / 1_000} s`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (facts) => facts.size,
    () => 0,
  );
}

function tail(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-4).join(' | ') || 'with nothing';
}
