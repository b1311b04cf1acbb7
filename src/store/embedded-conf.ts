// The server's folder and its config file: what a queue needs of Redis (nothing evicted, every write in the AOF), and the
// password, which is kept here and nowhere on a command line.

import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';

/** The log is kept over many starts; above this it is put aside, one generation. */
const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** Where a container has the folder mounted. */
export const CONTAINER_DIR = '/data';

export interface ServerFolder {
  /** Real path, as the server itself reports it. */
  readonly dir: string;
  readonly confPath: string;
  readonly logPath: string;
  /** Written by the guardian before the server exists, so that no crash leaves a server nobody can find. */
  readonly pidPath: string;
}

export interface ServerConf {
  port: number;
  password: string;
}

export async function prepareFolder(dataDir: string): Promise<ServerFolder> {
  const path = join(dataDir, 'redis');
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700); // mkdir leaves the rights of a folder that is already there
  const dir = await realpath(path);
  const logPath = join(dir, 'redis.log');
  const log = await stat(logPath).catch(() => undefined);
  if (log && log.size > MAX_LOG_BYTES) await rename(logPath, `${logPath}.1`);
  return { dir, confPath: join(dir, 'redis.conf'), logPath, pidPath: join(dir, 'redis.pid') };
}

/** What the last start wrote, if it can be read. */
export async function readConf(folder: ServerFolder): Promise<ServerConf | undefined> {
  const text = await readFile(folder.confPath, 'utf8').catch(() => '');
  const port = Number(/^port (\d+)$/m.exec(text)?.[1]);
  const password = /^requirepass ([0-9a-f]{32})$/m.exec(text)?.[1];
  return port && password ? { port, password } : undefined;
}

export function newPassword(): string {
  return randomBytes(16).toString('hex');
}

/** `inContainer`: only a published loopback port leads in. */
export async function writeConf(folder: ServerFolder, conf: ServerConf, inContainer: boolean): Promise<void> {
  const lines = [
    '# Written by lanekeeper at every start; changes are lost.',
    `bind ${inContainer ? '0.0.0.0' : '127.0.0.1'}`,
    `port ${conf.port}`,
    `requirepass ${conf.password}`,
    `dir ${quoted(inContainer ? CONTAINER_DIR : folder.dir)}`,
    'daemonize no',
    'supervised no',
    'logfile ""', // to stdout, which the guardian appends to the log: what fails before Redis opens a log is there too
    'set-proc-title no', // the command line keeps the path of this file, by which a left-over is recognized
    'save ""',
    'appendonly yes',
    'appendfsync everysec', // `always` makes the server exit when the disk is full (measured); this one waits and recovers
    'maxmemory-policy noeviction', // a queue that forgets jobs is no queue
    `maxmemory ${maxMemoryBytes()}`,
  ];
  const temp = `${folder.confPath}.tmp`;
  await rm(temp, { force: true });
  await writeFile(temp, `${lines.join('\n')}\n`, { mode: 0o600 });
  await rename(temp, folder.confPath);
}

/** Half of the memory: an AOF rewrite forks, and what is written meanwhile is copied page by page. */
export function maxMemoryBytes(total = totalmem(), constrained = process.constrainedMemory?.() ?? 0): number {
  // 0 or a number beyond the machine's memory both mean "no cgroup limit".
  const usable = constrained > 0 ? Math.min(total, constrained) : total;
  return Math.floor(usable / 2);
}

/** Redis's own quoting: spaces, quotes, backslashes and line breaks in a path survive. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}"`;
}
