// What the tests of the embedded Redis share: folders of their own, owner processes that can be killed, and a look at what runs.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach } from 'vitest';

export const REPO = fileURLToPath(new URL('../..', import.meta.url));
/** The project's own ignored folder: brought once, used by every test. */
export const CACHE = join(REPO, '.lanekeeper/cache');

const cleanups: (() => unknown)[] = [];

/** Runs after the test, last registered first. */
export function atEnd(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** With a space in its name, as every path of ours may have. */
export async function tempDir(name = 'data of ours'): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `lk ${name} `));
  atEnd(() => rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return dir;
}

export interface Spawned {
  child: ChildProcess;
  /** The next JSON line it tells; rejects when it ends instead. */
  next(): Promise<Record<string, unknown>>;
  exited: Promise<number | null>;
}

export function spawnFixture(name: string, args: string[], options: { detached?: boolean } = {}): Spawned {
  const fixture = fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', fixture, ...args], {
    cwd: REPO,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options,
  });
  child.stdin.on('error', () => {}); // killed on purpose
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  atEnd(() => {
    child.kill('SIGKILL');
    return exited;
  });
  return {
    child,
    exited,
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${name} ended and told nothing more`);
      return JSON.parse(value);
    },
  };
}

export function connect(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  redis.on('error', () => {});
  atEnd(() => redis.disconnect());
  return redis;
}

/** Every living process of the server's group but the server: its guardian, in as many pieces as it has. */
export async function guardiansOf(redisPid: number): Promise<number[]> {
  const all = await processes();
  const group = all.find(({ pid }) => pid === redisPid)?.group;
  return all.filter((one) => one.group === group && one.pid !== redisPid).map(({ pid }) => pid);
}

/** Servers whose command line names this folder; the guardian's, a sh, names it too. */
export async function serversOn(dataDir: string): Promise<number[]> {
  const all = await processes();
  return all
    .filter(({ command }) => !command.startsWith('/bin/sh') && /-server/.test(command) && command.includes(dataDir))
    .map(({ pid }) => pid);
}

async function processes(): Promise<{ pid: number; group: number; command: string }[]> {
  if (process.platform !== 'linux') return processesByPs();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return stat === '' || state === 'Z' ? [] : [{ pid: Number(pid), group: Number(group), command }];
    }),
  );
  return found.flat();
}

function processesByPs(): Promise<{ pid: number; group: number; command: string }[]> {
  return new Promise((resolve) => {
    let text = '';
    const ps = spawn('ps', ['-axww', '-o', 'pid=,pgid=,command=']);
    ps.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    ps.on('close', () => {
      const rows = [...text.matchAll(/^ *(\d+) +(\d+) +(.*)$/gm)];
      resolve(rows.map(([, pid, group, command = '']) => ({ pid: Number(pid), group: Number(group), command })));
    });
  });
}
