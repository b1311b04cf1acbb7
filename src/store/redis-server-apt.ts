// Brings a server on Debian and Ubuntu without root and without touching the system: the packages that are missing are
// downloaded into the project's own folder and unpacked there (`apt-get download`, `dpkg -x`), never installed.

import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine, RunResult } from './redis-server-machine.ts';
import { type RedisServerCommand, SERVER_NAMES, tryProgram } from './redis-server-program.ts';

const DOWNLOAD_MS = 5 * 60_000;
const TEMP_PREFIX = 'bringing-';
/** A bringing older than this was killed half-way: even a slow line needs minutes only. */
const TEMP_OLD_MS = 60 * 60_000;

/** The server already unpacked here, if it runs. Milliseconds; this is what every start but the first one does. */
export async function findUnpacked(machine: Machine, cacheDir: string): Promise<RedisServerCommand | undefined> {
  return findInRoot(machine, join(cacheDir, 'root'));
}

/** The command, or one line that says why not. */
export async function bringByApt(
  machine: Machine,
  cacheDir: string,
  say: (line: string) => void,
  now: number,
): Promise<RedisServerCommand | string> {
  for (const program of ['apt-get', 'dpkg']) {
    if ((await machine.run(program, ['--version'])).code !== 0) return `no ${program} here`;
  }
  await mkdir(cacheDir, { recursive: true });
  await removeHalfMade(cacheDir, now);
  const temp = await mkdtemp(join(cacheDir, TEMP_PREFIX));
  try {
    const problem = await unpackInto(machine, temp, say);
    if (problem) return problem;
    if (!(await findInRoot(machine, join(temp, 'root')))) return 'apt: what was unpacked does not run';
    await putInPlace(machine, temp, cacheDir);
    // Found anew: the rename changed every path, and another process may have been faster than this one.
    return (await findUnpacked(machine, cacheDir)) ?? 'apt: what was unpacked does not run';
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

async function findInRoot(machine: Machine, root: string): Promise<RedisServerCommand | undefined> {
  for (const name of SERVER_NAMES) {
    const program = join(root, 'usr/bin', name);
    if (!(await exists(program))) continue;
    const command = await tryProgram(machine, program, (await libraryDirs(root)).join(':'));
    if (command) return command;
  }
  return undefined;
}

/** lib and usr/lib with their folder per architecture, whatever this one is called. */
async function libraryDirs(root: string): Promise<string[]> {
  const dirs: string[] = [];
  for (const lib of ['usr/lib', 'lib']) {
    const names = await readdir(join(root, lib)).catch(() => []);
    dirs.push(...names.filter((name) => name.includes('-linux-')).map((name) => join(root, lib, name)));
    if (names.length > 0) dirs.push(join(root, lib));
  }
  return dirs;
}

/** With the machine's own package lists first; where they are empty or too old, with lists fetched into `temp`. */
async function unpackInto(machine: Machine, temp: string, say: (line: string) => void): Promise<string | undefined> {
  // As root too: no change of user, and no index written into the system's cache.
  const settings = ['APT::Sandbox::User=root', 'Dir::Cache::pkgcache=', 'Dir::Cache::srcpkgcache='];
  const owned = [...settings, 'Acquire::Retries=2', 'Acquire::http::Timeout=20'].flatMap((setting) => ['-o', setting]);
  if (!(await downloadDebs(machine, temp, owned, say))) return unpackDebs(machine, temp);

  const fresh = [...owned, ...(await privateLists(temp))];
  say('reading the package lists into the project folder, once: apt-get update');
  const update = await machine.run('env', ['LC_ALL=C', 'apt-get', ...fresh, 'update'], { timeoutMs: DOWNLOAD_MS });
  if (update.code !== 0) return `apt-get update: ${lastLine(update)}`;
  return (await downloadDebs(machine, temp, fresh, say)) ?? (await unpackDebs(machine, temp));
}

/** State and cache of our own, so that neither root nor the system's lock is needed and nothing of the system changes. */
async function privateLists(temp: string): Promise<string[]> {
  for (const dir of ['state/lists/partial', 'cache/archives/partial'])
    await mkdir(join(temp, dir), { recursive: true });
  // Debian's Docker images hook `rm /var/cache/apt/archives/*.deb` to every update: such hooks are not for a private one.
  const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'];
  await writeFile(join(temp, 'apt.conf'), hooks.map((hook) => `#clear ${hook};\n`).join(''));
  const options = {
    'Dir::State': join(temp, 'state'),
    'Dir::State::lists': join(temp, 'state/lists'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(temp, 'cache'),
    'Dir::Cache::archives': join(temp, 'cache/archives'),
    'Debug::NoLocking': '1',
    'Acquire::Languages': 'none',
    // Descriptions for software centres, 10 times the size of what is needed here.
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
  };
  return [
    '-c',
    join(temp, 'apt.conf'),
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ];
}

async function downloadDebs(
  machine: Machine,
  temp: string,
  options: readonly string[],
  say: (line: string) => void,
): Promise<string | undefined> {
  let problem = '';
  for (const name of SERVER_NAMES) {
    // apt's own solver says what is missing here, whatever this release calls its libraries.
    const args = ['LC_ALL=C', 'apt-get', ...options, '--simulate', '--no-install-recommends', 'install', name];
    const plan = await machine.run('env', args, { timeoutMs: 60_000 });
    const packages = plan.code === 0 ? missingPackages(plan.stdout) : [];
    if (packages.length === 0) {
      problem = `apt-get install --simulate ${name}: ${lastLine(plan)}`;
      continue;
    }
    const uris = await machine.run('env', [
      'LC_ALL=C',
      'apt-get',
      ...options,
      '-qq',
      '--print-uris',
      'download',
      ...packages,
    ]);
    say(`bringing a Redis server (${toMegabytes(uris.stdout)}, once): apt-get download ${name}`);
    const download = ['LC_ALL=C', 'apt-get', ...options, 'download', ...packages];
    const result = await machine.run('env', download, { cwd: temp, timeoutMs: DOWNLOAD_MS });
    if (result.code === 0) return undefined;
    problem = `apt-get download ${name}: ${lastLine(result)}`;
  }
  return problem;
}

/** `Inst redis-tools [old] (5:7.0.15-1 Debian:12 [amd64])` -> `redis-tools=5:7.0.15-1`. */
export function missingPackages(simulation: string): string[] {
  const found = [...simulation.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /gm)];
  // The C library belongs to the loader that is already running; another build of it beside that one crashes.
  return found
    .filter(([, name]) => !/^libc(6|-bin)(:|$)/.test(name ?? ''))
    .map(([, name, version]) => `${name}=${version}`);
}

async function unpackDebs(machine: Machine, temp: string): Promise<string | undefined> {
  const root = join(temp, 'root');
  await mkdir(root);
  for (const deb of (await readdir(temp)).filter((name) => name.endsWith('.deb'))) {
    const result = await machine.run('dpkg', ['-x', join(temp, deb), root], { timeoutMs: 60_000 });
    if (result.code !== 0) return `dpkg -x ${deb}: ${lastLine(result)}`;
  }
  return undefined;
}

/** One rename, so `root` is whole or absent. Of two processes that bring it at once the second keeps what the first put. */
async function putInPlace(machine: Machine, temp: string, cacheDir: string): Promise<void> {
  for (let round = 0; round < 3; round++) {
    try {
      return await rename(join(temp, 'root'), join(cacheDir, 'root'));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      if (await findUnpacked(machine, cacheDir)) return;
      // It does not run: brought on another machine, or a library it used is gone from this one.
      await rename(join(cacheDir, 'root'), join(temp, `broken-${round}`)).catch(() => {});
    }
  }
}

async function removeHalfMade(cacheDir: string, now: number): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith(TEMP_PREFIX)) continue;
    const path = join(cacheDir, name);
    const changedAt = await stat(path).then(
      (facts) => facts.mtimeMs,
      () => now,
    );
    if (now - changedAt > TEMP_OLD_MS) await rm(path, { recursive: true, force: true });
  }
}

function toMegabytes(printedUris: string): string {
  const sizes = [...printedUris.matchAll(/^'[^']*' \S+ (\d+)/gm)].map(([, size]) => Number(size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function lastLine({ stdout, stderr }: RunResult): string {
  const lines = (stderr.trim() || stdout.trim()).split('\n');
  // apt's errors start with E:, and what follows them is often only a hint.
  return (lines.find((line) => line.startsWith('E:')) ?? lines.at(-1))?.trim() || 'no output';
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
