// The server in a container, where only Docker is at hand: the folder mounted, one loopback port published, our own user, and
// a name that follows from the folder, so that a container a crash left behind is found again.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { CONTAINER_DIR, type ServerConf, type ServerFolder } from './embedded-conf.ts';
import type { RedisServerCommand } from './redis-server-program.ts';

export function dockerArgv(
  command: Extract<RedisServerCommand, { kind: 'docker' }>,
  folder: ServerFolder,
  conf: ServerConf,
): string[] {
  const user = process.getuid ? ['--user', `${process.getuid()}:${process.getgid?.()}`] : [];
  return [
    ...command.argv,
    'run',
    '--rm',
    ...['--name', containerName(folder)],
    ...user,
    ...['--publish', `127.0.0.1:${conf.port}:${conf.port}`],
    ...['--mount', `type=bind,src=${folder.dir},dst=${CONTAINER_DIR}`],
    command.image,
    'valkey-server',
    `${CONTAINER_DIR}/redis.conf`,
  ];
}

/** Killed, the client leaves its container running. No container of that name is fine. */
export async function removeContainer(command: readonly string[], folder: ServerFolder): Promise<void> {
  // First asked to end, which lets it write the last second of its log to the disk.
  await docker(command, ['stop', '-t', '10', containerName(folder)]);
  await docker(command, ['rm', '--force', containerName(folder)]);
}

/** The server's pid on this machine; undefined where Docker keeps it on a kernel of its own, as on macOS. */
export async function containerPid(command: readonly string[], folder: ServerFolder): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  const pid = Number(await docker(command, ['inspect', '--format', '{{.State.Pid}}', containerName(folder)]));
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

function containerName(folder: ServerFolder): string {
  return `lanekeeper-${createHash('sha256').update(folder.dir).digest('hex').slice(0, 12)}`;
}

/** What it printed; '' when it failed. */
function docker(command: readonly string[], args: readonly string[]): Promise<string> {
  const [program = 'docker', ...before] = command;
  return new Promise((resolve) => {
    execFile(program, [...before, ...args], { timeout: 30_000 }, (error, stdout) =>
      resolve(error ? '' : stdout.trim()),
    );
  });
}
