// Finding and bringing a server. What this machine can do is really done; what it cannot is told by a machine that answers
// as another one would.

import { cp, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findRedisServer, type RedisServerCommand } from '../../src/store/redis-server.ts';
import { missingPackages } from '../../src/store/redis-server-apt.ts';
import { type Machine, type RunResult, thisMachine } from '../../src/store/redis-server-machine.ts';
import { isNewEnough } from '../../src/store/redis-server-program.ts';
import { CACHE, tempDir } from './embedded-support.ts';

const OK: RunResult = { code: 0, stdout: '', stderr: '' };
const ABSENT: RunResult = { code: null, stdout: '', stderr: 'spawn ENOENT' };
const REDIS_7 = { ...OK, stdout: 'Redis server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0\n' };

type Answer = (line: string) => RunResult | undefined;

/** A machine of which only what `answer` knows is there. `ran` keeps every command line that was tried. */
function fakeMachine(answer: Answer, more: Partial<Machine> = {}): Machine & { ran: string[] } {
  const ran: string[] = [];
  return {
    platform: 'linux',
    isRoot: false,
    ran,
    async run(program, args) {
      const line = [program, ...args].join(' ');
      ran.push(line);
      return answer(line) ?? ABSENT;
    },
    ...more,
  };
}

/** This very machine, but without the servers it may have, and with what `deny` says missing. */
function bareMachine(deny: (line: string) => RunResult | undefined = () => undefined): Machine {
  return {
    ...thisMachine,
    async run(program, args, options) {
      const isServer = /^(\/.*\/s?bin\/|\/opt\/homebrew\/bin\/)?(valkey|redis)-server$/.test(program);
      const denied = isServer ? ABSENT : deny([program, ...args].join(' '));
      return denied ?? thisMachine.run(program, args, options);
    },
  };
}

async function find(machine: Machine, cacheDir?: string) {
  const said: string[] = [];
  const dir = cacheDir ?? (await tempDir('cache'));
  const found = await findRedisServer({ cacheDir: dir, say: (line) => said.push(line), machine }).catch((e) => e);
  return { found, said, dir };
}

const hasApt = (await thisMachine.run('apt-get', ['--version'])).code === 0;
const canAptServe = hasApt && (await thisMachine.run('dpkg', ['--version'])).code === 0;

/** On a machine without apt the same search has to end in one of the other ways, or in the one clear message. */
function expectOtherWay(found: RedisServerCommand | Error) {
  if (found instanceof Error) expect(found).toMatchObject({ code: 'LK_REDIS_MISSING' });
  else expect(['program', 'docker']).toContain(found.kind);
}

test('apt: really brought into a folder with a space, nothing else left there, and found at once the second time', async () => {
  const { found, said, dir } = await find(bareMachine());
  if (!canAptServe) return expectOtherWay(found);
  expect(found).toMatchObject({ kind: 'program', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
  expect(found.argv.at(-1)).toMatch(new RegExp(`^${dir}/root/usr/bin/(valkey|redis)-server$`));
  expect(said.join('\n')).toMatch(
    /bringing a Redis server \(\d+\.\d MB, once\): apt-get download (valkey|redis)-server/,
  );
  expect(await readdir(dir)).toEqual(['root']);

  const ran: string[] = [];
  const watched: Machine = {
    ...thisMachine,
    run: (program, args, options) => {
      ran.push([program, ...args].join(' '));
      return thisMachine.run(program, args, options);
    },
  };
  const second = await find(watched, dir);
  expect(second.found).toEqual(found);
  expect(second.said).toEqual([]);
  expect(ran).toEqual([`${found.argv.join(' ')} --version`]); // one program, run once
}, 120_000);

test('apt: with empty package lists it fetches its own, and the lists of the system stay as they are', async () => {
  const before = await systemLists();
  const empty = (line: string) =>
    line.includes('--simulate') && !line.includes('Dir::State=')
      ? { code: 100, stdout: '', stderr: 'E: Unable to locate package redis-server' }
      : undefined;
  const { found, said, dir } = await find(bareMachine(empty));
  if (!canAptServe) return expectOtherWay(found);
  expect(found).toMatchObject({ kind: 'program' });
  expect(said[0]).toContain('apt-get update');
  expect(await readdir(dir)).toEqual(['root']);
  expect(await systemLists()).toEqual(before);
}, 120_000);

async function systemLists(): Promise<string[]> {
  return (await readdir('/var/lib/apt/lists').catch(() => [])).sort();
}

test('apt: two processes that bring it at once both end with a server', async () => {
  const dir = await tempDir('cache');
  const [one, two] = await Promise.all([find(bareMachine(), dir), find(bareMachine(), dir)]);
  if (!canAptServe) return expectOtherWay(one.found);
  expect(one.found).toMatchObject({ kind: 'program' });
  expect(two.found).toEqual(one.found);
  expect(await readdir(dir)).toEqual(['root']);
}, 120_000);

test('apt: what is unpacked but does not run is replaced', async () => {
  const dir = await tempDir('cache');
  await mkdir(join(dir, 'root/usr/bin'), { recursive: true });
  await writeFile(join(dir, 'root/usr/bin/redis-server'), 'of another machine', { mode: 0o755 });
  const { found } = await find(bareMachine(), dir);
  if (!canAptServe) return expectOtherWay(found);
  expect(found).toMatchObject({ kind: 'program' });
  expect(await readdir(dir)).toEqual(['root']);
}, 120_000);

test('apt: a failure half-way leaves nothing half-made, and an old half-made folder is cleared', async () => {
  const dir = await tempDir('cache');
  for (const name of ['bringing-old', 'bringing-new']) await mkdir(join(dir, name));
  await utimes(join(dir, 'bringing-old'), 1, 1);
  const tools = aptMachine((line) =>
    line.startsWith('dpkg -x') ? { code: 2, stdout: '', stderr: 'no space' } : undefined,
  );
  const { found } = await find(tools, dir);
  expect(found.message).toContain('dpkg -x redis-server.deb: no space');
  expect(await readdir(dir)).toEqual(['bringing-new']);
});

/** A machine with an apt of its own that downloads an empty package. */
function aptMachine(more: Answer): Machine & { ran: string[] } {
  const machine = fakeMachine((line) => {
    if (more(line)) return more(line);
    if (/^(apt-get|dpkg) --version/.test(line)) return OK;
    if (line.includes('--simulate')) return { ...OK, stdout: 'Inst redis-server (5:7.0.15-1 Debian:12 [amd64])\n' };
    if (line.includes('--print-uris')) return { ...OK, stdout: "'http://x' redis-server.deb 1500000 SHA256:0\n" };
    return line.startsWith('env LC_ALL=C apt-get') ? OK : undefined;
  });
  const { run } = machine;
  machine.run = async (program, args, options) => {
    if (args.includes('download') && options?.cwd) await writeFile(join(options.cwd, 'redis-server.deb'), '');
    return run(program, args, options);
  };
  return machine;
}

test('apt: only what the machine lacks is named, in any release, and never another C library', () => {
  const simulation = [
    'NOTE: This is only a simulation!',
    'Inst libjemalloc2 (5.3.0-1 Debian:12.15/oldstable [amd64])',
    'Inst libc6 [2.36-9] (2.36-10 Debian:12.15/oldstable [amd64]) [libc-bin:amd64 ]',
    'Inst libssl3t64 [3.0.13-0] (3.0.13-1 Ubuntu:24.04/noble-updates [arm64])',
    'Inst valkey-server (8.1.1+dfsg1-3 Debian:13.0/stable [amd64])',
    'Conf valkey-server (8.1.1+dfsg1-3 Debian:13.0/stable [amd64])',
  ].join('\n');
  expect(missingPackages(simulation)).toEqual([
    'libjemalloc2=5.3.0-1',
    'libssl3t64=3.0.13-1',
    'valkey-server=8.1.1+dfsg1-3',
  ]);
});

test('what is on the machine is used as it is, valkey first, and nothing is brought', async () => {
  const both = fakeMachine((line) => (/^(valkey|redis)-server --version$/.test(line) ? REDIS_7 : undefined));
  expect(await find(both)).toMatchObject({
    found: { kind: 'program', argv: ['valkey-server'], version: '7.2.5' },
    said: [],
  });
  const outsidePath = fakeMachine((line) =>
    line === '/opt/homebrew/bin/redis-server --version' ? REDIS_7 : undefined,
  );
  expect((await find(outsidePath)).found).toMatchObject({ argv: ['/opt/homebrew/bin/redis-server'] });
});

test('a server that is too old, broken or something else is passed over', async () => {
  const answers: Record<string, RunResult> = {
    'valkey-server --version': { ...OK, stdout: 'hello' },
    '/usr/local/bin/valkey-server --version': { ...REDIS_7, code: 127 },
    'redis-server --version': { ...OK, stdout: 'Redis server v=6.0.16 sha=00000000:0' },
    '/usr/sbin/redis-server --version': REDIS_7,
  };
  expect((await find(fakeMachine((line) => answers[line]))).found).toMatchObject({ argv: ['/usr/sbin/redis-server'] });
  expect(['6.2.0', '7.0.15', '8.1.1', '10.0.0'].every(isNewEnough)).toBe(true);
  expect(['6.0.16', '5.9.9', '2.8.0'].some(isNewEnough)).toBe(false);
});

test.each<[string, Partial<Machine>, string, string]>([
  ['brew', { platform: 'darwin' }, 'brew', 'install --quiet valkey'],
  ['apt as root', { isRoot: true }, 'apt-get', 'install -y --no-install-recommends redis-server'],
  ['apt by sudo -n', {}, 'apt-get', 'install -y --no-install-recommends redis-server'],
  ['dnf as root', { isRoot: true }, 'dnf', 'install -y valkey'],
  ['apk as root', { isRoot: true }, 'apk', 'add --no-cache redis'],
  ['pacman by sudo -n', {}, 'pacman', '-S --noconfirm valkey'],
])('a package manager that asks no question: %s', async (_, more, manager, args) => {
  let isInstalled = false;
  const machine = fakeMachine((line) => {
    if (line === `${manager} --version` || line === 'sudo -n true') return OK;
    if (line.endsWith(`${manager} ${args}`)) isInstalled = true;
    if (line.endsWith(`${manager} ${args}`)) return OK;
    return isInstalled && line === 'redis-server --version' ? REDIS_7 : undefined;
  }, more);
  const { found, said } = await find(machine);
  expect(found).toMatchObject({ kind: 'program', argv: ['redis-server'] });
  const needsSudo = manager !== 'brew' && !more.isRoot;
  const line = machine.ran.find((one) => one.endsWith(args));
  expect(line?.startsWith('sudo -n env ')).toBe(needsSudo);
  expect(said.at(-1)).toContain(args);
});

test('without root and without sudo -n no package manager is asked, and brew never as root', async () => {
  const noSudo = fakeMachine((line) => (line === 'dnf --version' ? OK : undefined));
  const { found } = await find(noSudo);
  expect(found.message).toContain('dnf needs root, and sudo -n is not allowed');
  expect(found.message).toContain('run `sudo dnf install -y redis`');
  expect(noSudo.ran.filter((line) => line.includes('install'))).toEqual([]);

  const rootBrew = fakeMachine((line) => (line === 'brew --version' ? OK : undefined), {
    platform: 'darwin',
    isRoot: true,
  });
  expect((await find(rootBrew)).found.message).toContain('brew does not run as root');
});

test('a running Docker is the last way; its image is pulled once', async () => {
  let isPulled = false;
  const machine = fakeMachine((line) => {
    if (line === 'docker info') return OK;
    if (line.startsWith('docker pull')) isPulled = true;
    return line.startsWith('docker pull') || (isPulled && line.startsWith('docker image inspect')) ? OK : undefined;
  });
  const first = await find(machine);
  expect(first.found).toEqual({ kind: 'docker', argv: ['docker'], image: 'valkey/valkey:8', version: '8' });
  expect(first.said).toEqual(['bringing a Redis server (a Docker image, once): docker pull valkey/valkey:8']);
  const second = await find(machine);
  expect(second.found).toEqual(first.found);
  expect(second.said).toEqual([]);
});

test.each<[Partial<Machine>, string]>([
  [{ platform: 'linux' }, 'install the package redis-server, redis or valkey of this system'],
  [{ platform: 'darwin' }, 'install Homebrew and run `brew install valkey`, or start Docker Desktop'],
  [{ platform: 'win32' }, 'run it inside WSL 2, or start Docker Desktop'],
])('nothing at all: one line with what was tried and what to do on %o', async (more, advice) => {
  const { found, said, dir } = await find(fakeMachine(() => undefined, more));
  expect(found).toMatchObject({ name: 'LanekeeperError', code: 'LK_REDIS_MISSING' });
  const tried = ['no apt-get here', 'no package manager that is known here', 'no running Docker'];
  expect(found.message).toBe(
    'expected valkey-server or redis-server 6.2 or newer on this machine, found none and could bring none ' +
      `(${tried.slice(more.platform === 'linux' ? 0 : 1).join('; ')}): ${advice}, or set REDIS_URL`,
  );
  expect(said).toEqual([]);
  expect(await readdir(dir)).toEqual([]);
});

test('everything there and everything failing: still one line, with each reason', async () => {
  const machine = aptMachine((line) => {
    if (line.startsWith('env LC_ALL=C') && !line.includes('update')) {
      return { code: 100, stdout: '', stderr: 'W: something\nE: Unable to fetch\nN: a hint\n' };
    }
    if (/ update$/.test(line) || line === 'sudo -n true' || line.startsWith('docker info')) return OK;
    if (/install -y/.test(line)) return { code: 100, stdout: '', stderr: 'E: broken\n' };
    return line.startsWith('docker pull') ? { code: 1, stdout: '', stderr: 'no such host\n' } : undefined;
  });
  const { found } = await find(machine);
  expect(found.message).toMatch(
    /E: Unable to fetch; .*E: broken; docker pull valkey\/valkey:8: no such host\): run `sudo apt-get/,
  );
  expect(found.message).not.toContain('\n');
});

test('a program that hangs is ended with its helpers, one that is absent is told', async () => {
  const hung = await thisMachine.run('/bin/sh', ['-c', 'sleep 60 & sleep 60'], { timeoutMs: 50 });
  expect(hung).toMatchObject({ code: null, stderr: expect.stringContaining('no end after 0.05 s') });
  expect(await thisMachine.run('lanekeeper-no-such-program', [])).toMatchObject({ code: null });
  expect(await thisMachine.run('/bin/sh', ['-c', 'read -r x; echo "got $?"'])).toMatchObject({ stdout: 'got 1\n' });
});

test('a server brought earlier still runs from a folder that was moved', async () => {
  await findRedisServer({ cacheDir: CACHE, say: () => {} });
  const dir = await tempDir('cache');
  const isCached = (await readdir(CACHE).catch(() => [] as string[])).includes('root');
  if (!isCached) return expect((await find(thisMachine, dir)).found).toMatchObject({ version: expect.any(String) });
  await cp(join(CACHE, 'root'), join(dir, 'copied'), { recursive: true, verbatimSymlinks: true });
  await rename(join(dir, 'copied'), join(dir, 'root'));
  const { found, said } = await find(bareMachine(), dir);
  expect(found.argv.at(-1)).toContain(dir);
  expect(said).toEqual([]);
  await rm(join(dir, 'root'), { recursive: true });
}, 120_000);

test('no registry host is written in the code', async () => {
  const dir = new URL('../../src/store/', import.meta.url);
  for (const name of (await readdir(dir)).filter((one) => /^(redis-server|embedded)/.test(one))) {
    expect(await readFile(new URL(name, dir), 'utf8'), name).not.toMatch(/https?:\/\//);
  }
});
