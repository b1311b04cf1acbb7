// Finds a real Redis server for this machine: one brought before, one installed, or one that it brings now. There is no
// pretend Redis: when none can be had, one line says what was tried and what to run.

import { join, resolve } from 'node:path';
import { systemClock } from '../words/clock.ts';
import { LanekeeperError } from '../words/errors.ts';
import { findUnpacked } from './redis-server-apt.ts';
import { bringRedisServer } from './redis-server-bring.ts';
import { type Machine, thisMachine } from './redis-server-machine.ts';
import { MIN_VERSION, type RedisServerCommand, SERVER_NAMES, tryProgram } from './redis-server-program.ts';

export type { RedisServerCommand } from './redis-server-program.ts';

/** Where servers are put that a service's or an editor's short PATH often leaves out. */
const MORE_DIRS = ['/usr/local/bin', '/opt/homebrew/bin', '/usr/sbin'];

export interface FindOptions {
  /** A folder of the project's own, ignored by git; what is brought is kept here. */
  cacheDir: string;
  /** Told one line per step that takes time. */
  say: (line: string) => void;
  /** Default: this machine. */
  machine?: Machine;
  /** Default: the system's. Only tells how old a half-made download is. */
  clock?: { now(): number };
}

export async function findRedisServer(options: FindOptions): Promise<RedisServerCommand> {
  const { say, machine = thisMachine, clock = systemClock } = options;
  const cacheDir = resolve(options.cacheDir);
  const present = (await findUnpacked(machine, cacheDir)) ?? (await findInstalled(machine));
  if (present) return present;

  const brought = await bringRedisServer({
    machine,
    cacheDir,
    say,
    now: clock.now(),
    findInstalled: () => findInstalled(machine),
  });
  if (!('tried' in brought)) return brought;
  throw new LanekeeperError(
    'LK_REDIS_MISSING',
    `expected ${SERVER_NAMES.join(' or ')} ${MIN_VERSION} or newer on this machine, found none and could bring none ` +
      `(${brought.tried.join('; ')}): ${brought.advice}, or set REDIS_URL`,
  );
}

async function findInstalled(machine: Machine): Promise<RedisServerCommand | undefined> {
  for (const name of SERVER_NAMES) {
    for (const program of [name, ...MORE_DIRS.map((dir) => join(dir, name))]) {
      const command = await tryProgram(machine, program);
      if (command) return command;
    }
  }
  return undefined;
}
