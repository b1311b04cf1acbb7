// Brings a Redis server to a machine that has none, in the order of how little it touches: into the project's own folder,
// through a package manager that asks no question, through a running Docker. What was tried is told when nothing helps.

import { bringByApt } from './redis-server-apt.ts';
import type { Machine } from './redis-server-machine.ts';
import type { RedisServerCommand } from './redis-server-program.ts';

const INSTALL_MS = 10 * 60_000;
const IMAGE = 'valkey/valkey:8';

interface PackageManager {
  program: string;
  /** Where it comes by itself; it also orders the advice when several are there. */
  platforms: readonly NodeJS.Platform[];
  /** brew refuses to run as root, the others need it. */
  needsRoot: boolean;
  installs: readonly (readonly string[])[];
}

const MANAGERS: readonly PackageManager[] = [
  {
    program: 'brew',
    platforms: ['darwin', 'linux'],
    needsRoot: false,
    installs: [
      ['install', '--quiet', 'valkey'],
      ['install', '--quiet', 'redis'],
    ],
  },
  {
    program: 'apt-get',
    platforms: ['linux'],
    needsRoot: true,
    installs: [
      ['install', '-y', '--no-install-recommends', 'valkey-server'],
      ['install', '-y', '--no-install-recommends', 'redis-server'],
    ],
  },
  {
    program: 'dnf',
    platforms: ['linux'],
    needsRoot: true,
    installs: [
      ['install', '-y', 'valkey'],
      ['install', '-y', 'redis'],
    ],
  },
  {
    program: 'apk',
    platforms: ['linux'],
    needsRoot: true,
    installs: [
      ['add', '--no-cache', 'valkey'],
      ['add', '--no-cache', 'redis'],
    ],
  },
  {
    program: 'pacman',
    platforms: ['linux'],
    needsRoot: true,
    installs: [
      ['-S', '--noconfirm', 'valkey'],
      ['-S', '--noconfirm', 'redis'],
    ],
  },
];

export interface Bringing {
  machine: Machine;
  cacheDir: string;
  say: (line: string) => void;
  now: number;
  /** Looks again at what is installed. */
  findInstalled: () => Promise<RedisServerCommand | undefined>;
}

/** The command, or what was tried: one short clause each, in order, and the command a person can run. */
export async function bringRedisServer(
  bringing: Bringing,
): Promise<RedisServerCommand | { tried: string[]; advice: string }> {
  const { machine, cacheDir, say, now } = bringing;
  const tried: string[] = [];
  if (machine.platform === 'linux') {
    const unpacked = await bringByApt(machine, cacheDir, say, now);
    if (typeof unpacked !== 'string') return unpacked;
    tried.push(unpacked);
  }
  const present = await presentManagers(machine);
  for (const manager of present) {
    const installed = await install(manager, bringing);
    if (typeof installed !== 'string') return installed;
    tried.push(installed);
  }
  if (present.length === 0) tried.push('no package manager that is known here');
  const docker = await bringByDocker(machine, say);
  if (typeof docker !== 'string') return docker;
  tried.push(docker);
  return { tried, advice: toAdvice(machine, present[0]) };
}

async function presentManagers(machine: Machine): Promise<PackageManager[]> {
  const candidates = MANAGERS.filter((manager) => manager.platforms.includes(machine.platform));
  const answers = await Promise.all(candidates.map((manager) => machine.run(manager.program, ['--version'])));
  return candidates.filter((_, index) => answers[index]?.code === 0);
}

async function install(manager: PackageManager, bringing: Bringing): Promise<RedisServerCommand | string> {
  const { machine, say, findInstalled } = bringing;
  const before = await rightsFor(manager, machine);
  if (typeof before === 'string') return before;
  let problem = '';
  for (const args of manager.installs) {
    const argv = [...before, manager.program, ...args];
    say(`bringing a Redis server: ${argv.join(' ')}`);
    const [program = '', ...rest] = argv;
    const { code, stderr } = await machine.run(program, rest, { timeoutMs: INSTALL_MS });
    const found = code === 0 ? await findInstalled() : undefined;
    if (found) return found;
    problem = `${argv.join(' ')}: ${code === 0 ? 'it brought no server that runs' : lastLine(stderr)}`;
  }
  return problem;
}

/** What to put before the command so that it asks no question, or why that cannot be. */
async function rightsFor(manager: PackageManager, machine: Machine): Promise<string[] | string> {
  const quiet = ['env', 'DEBIAN_FRONTEND=noninteractive', 'HOMEBREW_NO_AUTO_UPDATE=1', 'NONINTERACTIVE=1'];
  if (!manager.needsRoot) return machine.isRoot ? `${manager.program} does not run as root` : quiet;
  if (machine.isRoot) return quiet;
  const allowed = (await machine.run('sudo', ['-n', 'true'])).code === 0;
  return allowed ? ['sudo', '-n', ...quiet] : `${manager.program} needs root, and sudo -n is not allowed`;
}

async function bringByDocker(machine: Machine, say: (line: string) => void): Promise<RedisServerCommand | string> {
  if ((await machine.run('docker', ['info'])).code !== 0) return 'no running Docker';
  if ((await machine.run('docker', ['image', 'inspect', IMAGE])).code !== 0) {
    say(`bringing a Redis server (a Docker image, once): docker pull ${IMAGE}`);
    const pull = await machine.run('docker', ['pull', '--quiet', IMAGE], { timeoutMs: INSTALL_MS });
    if (pull.code !== 0) return `docker pull ${IMAGE}: ${lastLine(pull.stderr)}`;
  }
  return { kind: 'docker', argv: ['docker'], image: IMAGE, version: IMAGE.split(':')[1] ?? '' };
}

function toAdvice(machine: Machine, manager: PackageManager | undefined): string {
  if (machine.platform === 'win32') return 'run it inside WSL 2, or start Docker Desktop';
  if (manager) {
    // The older name: it is in the lists of every release that is still in use.
    const args = manager.installs.at(-1) ?? [];
    const command = [manager.program, ...args].join(' ');
    return `run \`${manager.needsRoot && !machine.isRoot ? `sudo ${command}` : command}\``;
  }
  if (machine.platform === 'darwin') return 'install Homebrew and run `brew install valkey`, or start Docker Desktop';
  return 'install the package redis-server, redis or valkey of this system';
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() || 'it failed and said nothing';
}
