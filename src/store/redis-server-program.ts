// What a usable Redis server is: something to start, proved by really running it with --version.

import type { Machine } from './redis-server-machine.ts';

/** Oldest version the engine is tried with; BullMQ recommends the same. */
export const MIN_VERSION = '6.2';

/** Valkey first: it is the fork that the distributions carry on. */
export const SERVER_NAMES = ['valkey-server', 'redis-server'] as const;

export type RedisServerCommand =
  /** A program of this machine; the path of the config file is the argument that follows `argv`. */
  | { kind: 'program'; argv: readonly string[]; version: string }
  /** An image that a running Docker has. */
  | { kind: 'docker'; argv: readonly string[]; image: string; version: string };

/** The command, if this program runs here and is new enough. */
export async function tryProgram(
  machine: Machine,
  program: string,
  libraryPath?: string,
): Promise<RedisServerCommand | undefined> {
  // `env` and not spawn's own environment: the path of the libraries then belongs to this one program only.
  const argv = libraryPath ? ['env', `LD_LIBRARY_PATH=${libraryPath}`, program] : [program];
  const [head = '', ...rest] = argv;
  const { code, stdout } = await machine.run(head, [...rest, '--version']);
  const version = code === 0 ? /\bv=(\d+\.\d+\.\d+)/.exec(stdout)?.[1] : undefined;
  return version && isNewEnough(version) ? { kind: 'program', argv, version } : undefined;
}

export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_VERSION.split('.').map(Number);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}
