// What doctor checks of this machine: node, how many files a process may open, what is on the PATH.

import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { findUnpacked } from '../../../store/redis-server-apt.ts';
import { type Machine, thisMachine } from '../../../store/redis-server-machine.ts';
import { MIN_VERSION, SERVER_NAMES, tryProgram } from '../../../store/redis-server-program.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const MIN_NODE = [20, 19] as const;
/** Below, a pod of 64 attempts with a request each, its Redis connections and its log is near the end. */
const FEW_FILES = 1_024;
const ENOUGH_FILES = 4_096;
/** Sockets of an attempt: its request, and one that lingers in the agent's pool. Beside them Redis, HTTP, logs, modules. */
const FILES_PER_ATTEMPT = 2;
const FILES_BESIDE = 200;

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number);
  const isOld = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1]);
  return isOld ? fail('node', version, `install ${MIN_NODE.join('.')} or newer`) : ok('node', version);
}

/** `attempts` is what a pod of these lanes may run at once. */
export function checkFiles(limit: number | undefined, attempts: number): Finding {
  if (limit === undefined) return ok('open files', 'this system does not say how many');
  const needed = attempts * FILES_PER_ATTEMPT + FILES_BESIDE;
  const says = `${limit} per process; a pod of these lanes may want ${needed}`;
  const todo = `raise it: ulimit -n 65536, LimitNOFILE=65536 in a systemd unit, --ulimit nofile=65536 for Docker`;
  if (limit < FEW_FILES) return fail('open files', says, todo);
  return limit < Math.max(ENOUGH_FILES, needed) ? warn('open files', says, todo) : ok('open files', says);
}

/** The soft limit of this process; Infinity for none. */
export function readFileLimit(): number | undefined {
  const report = process.report as typeof process.report & { excludeNetwork: boolean };
  const wasExcluded = report.excludeNetwork;
  report.excludeNetwork = true; // it would look up the name of every peer
  try {
    const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
    const soft = userLimits?.open_files?.soft;
    return soft === 'unlimited'
      ? Number.POSITIVE_INFINITY
      : typeof soft === 'number'
        ? soft
        : Number(soft) || undefined;
  } finally {
    report.excludeNetwork = wasExcluded;
  }
}

/** Only `up` needs a server of this machine, and only without REDIS_URL. */
export async function checkServer(
  isGiven: boolean,
  cacheDir: string,
  machine: Machine = thisMachine,
): Promise<Finding> {
  if (isGiven) return ok('redis-server', 'not needed: REDIS_URL is set');
  const unpacked = await findUnpacked(machine, cacheDir);
  if (unpacked) return ok('redis-server', `${unpacked.version}, brought to ${cacheDir}`);
  for (const name of SERVER_NAMES) {
    const found = await tryProgram(machine, name);
    if (found) return ok('redis-server', `${name} ${found.version} on the PATH`);
  }
  return warn(
    'redis-server',
    `no ${SERVER_NAMES.join(' or ')} ${MIN_VERSION} or newer on the PATH, and REDIS_URL is not set`,
    'install one, or set REDIS_URL; up tries to bring one by itself',
  );
}

export async function checkCommand(path: string): Promise<Finding> {
  for (const dir of path.split(delimiter).filter(Boolean)) {
    const file = join(dir, 'lanekeeper');
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return ok('PATH', `lanekeeper is ${file}`);
  }
  return ok('PATH', 'lanekeeper is not on it: npx lanekeeper runs it');
}
