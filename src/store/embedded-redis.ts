// The embedded Redis: a real server as our child, one per data folder, that ends with us. Composes the parts: lock the folder,
// end what a crash left, start, tell the others through running.json; and the same backwards on stop.

import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../words/clock.ts';
import { LanekeeperError } from '../words/errors.ts';
import { sleep } from './embedded-child.ts';
import { newPassword, prepareFolder, readConf, type ServerConf } from './embedded-conf.ts';
import { endLeftOver, toUrl } from './embedded-leftover.ts';
import { type FolderLock, lockFolder } from './embedded-lock.ts';
import { removeRunning, writeRunning } from './embedded-running.ts';
import { freePort, type Server, startServer } from './embedded-server.ts';
import { findRedisServer, type RedisServerCommand } from './redis-server.ts';

export { type Running, readRunning } from './embedded-running.ts';

const PORT_TRIES = 10;
const PORT_WAIT_MS = 10_000;

export interface EmbeddedOptions {
  /** The project's own ignored folder; the data goes to `<dataDir>/redis`. */
  dataDir: string;
  /** Where a server that has to be brought is kept. */
  cacheDir: string;
  /** Told one line per step that takes time. */
  say: (line: string) => void;
  clock?: Clock;
  /** Default: found on this machine, or brought to it. */
  command?: RedisServerCommand;
  /** Default: the last start's port if it is free, so that clients find the server again; otherwise any free one. */
  choosePort?: (lastPort: number | undefined) => Promise<number>;
}

export interface EmbeddedRedis {
  /** With the password. The same for all restarts. */
  readonly url: string;
  readonly port: number;
  /** Of the server itself, now; a restart changes it. */
  readonly pid: number;
  /** Ends the server, waits until it is gone, frees the folder. Calling it again waits for the same end. */
  stop(): Promise<void>;
  /** A new server on the same port, folder and password; one that still runs is ended first. */
  restart(): Promise<void>;
  /** Called each time the server ends without having been asked to, with one line that says how. Returns the way out. */
  onExit(listener: (reason: string) => void): () => void;
}

export async function startEmbeddedRedis(options: EmbeddedOptions): Promise<EmbeddedRedis> {
  const { cacheDir, say, clock = systemClock } = options;
  const dataDir = resolve(options.dataDir);
  // Locked first: of many started at once, the losers hear so at once and bring no server.
  const lock = await lockFolder(dataDir);
  try {
    await ignoreInGit(dataDir);
    await removeRunning(dataDir);
    const command = options.command ?? (await findRedisServer({ cacheDir, say }));
    const folder = await prepareFolder(dataDir);
    await endLeftOver(folder, say);
    const last = await readConf(folder);
    const password = last?.password ?? newPassword();
    const choosePort = options.choosePort ?? freePort;
    for (let attempt = 1; attempt <= PORT_TRIES; attempt++) {
      const conf = { port: await choosePort(attempt === 1 ? last?.port : undefined), password };
      const server = await startServer(command, folder, conf, say, clock);
      if (server !== 'port-taken')
        return await own({
          start: () => startServer(command, folder, conf, say, clock),
          server,
          conf,
          dataDir,
          clock,
          lock,
        });
    }
    throw new LanekeeperError(
      'LK_PORT',
      `expected a free port on 127.0.0.1, found ${PORT_TRIES} taken one after another`,
    );
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Owned {
  server: Server;
  conf: ServerConf;
  start: () => Promise<Server | 'port-taken'>;
  dataDir: string;
  clock: Clock;
  lock: FolderLock;
}

/** The running server as its owner sees it. Stop and restart stand in one line, so that neither meets the other half-way. */
async function own({ server: first, conf, start, dataDir, clock, lock }: Owned): Promise<EmbeddedRedis> {
  const url = toUrl(conf.port, conf.password);
  const listeners = new Set<(reason: string) => void>();
  let server = first;
  let line: Promise<void> = Promise.resolve();
  let stopped: Promise<void> | undefined;
  /** Ends we asked for are no news. */
  const asked = new WeakSet<Server>();

  const take = async (next: Server) => {
    server = next;
    next.exited.then((status) => {
      if (asked.has(next)) return;
      const reason = `the Redis server (process ${next.pid}) ended with ${toWords(status)}`;
      for (const listener of listeners) listener(reason);
    });
    await writeRunning(dataDir, { url, redisPid: next.pid, ownerPid: process.pid, startedAt: clock.now() });
  };
  const end = async () => {
    asked.add(server);
    await server.stop();
  };
  const enqueue = (step: () => Promise<void>) => {
    const done = line.then(step);
    line = done.catch(() => {});
    return done;
  };

  await take(first).catch(async (error) => {
    await end(); // the folder is given up with this error: nothing may be left running on it
    throw error;
  });
  return {
    url,
    port: conf.port,
    get pid() {
      return server.pid;
    },
    stop() {
      stopped ??= enqueue(async () => {
        await removeRunning(dataDir); // first: nobody is sent to a server that is about to end
        await end();
        await lock.release();
      });
      return stopped;
    },
    restart() {
      if (stopped)
        return Promise.reject(new LanekeeperError('LK_NOT_RUNNING', 'expected a Redis to restart, it was stopped'));
      return enqueue(async () => {
        await end();
        await take(await startOnSamePort(start, conf.port, clock));
      });
    },
    onExit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Somebody may have taken the port while the server was away; clients only know this one, so it is waited for. */
async function startOnSamePort(start: Owned['start'], port: number, clock: Clock): Promise<Server> {
  const startedAt = clock.mono();
  for (;;) {
    const server = await start();
    if (server !== 'port-taken') return server;
    if (clock.mono() - startedAt > PORT_WAIT_MS) {
      throw new LanekeeperError(
        'LK_PORT',
        `expected port ${port} to be free again, another program has it (see: lsof -i :${port})`,
      );
    }
    await sleep(200);
  }
}

function toWords(status: number): string {
  return status > 128 ? `signal ${status - 128}` : `status ${status}`;
}

/** The folder holds a password and the jobs themselves; wherever it lies, no commit takes it along. */
async function ignoreInGit(dataDir: string): Promise<void> {
  await writeFile(join(dataDir, '.gitignore'), '*\n', { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}
