// The state file through which every other command finds the Redis that runs on this data folder. It is written whole or
// not at all, and believed only while the server really answers: a crash may leave the file, but not the answer.

import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pingRedis } from './embedded-ask.ts';

export interface Running {
  /** With the password: the file is for its owner's eyes only. */
  readonly url: string;
  readonly redisPid: number;
  readonly ownerPid: number;
  /** Epoch ms. */
  readonly startedAt: number;
}

/** The running Redis of this folder, or undefined when none answers within a second. */
export async function readRunning(dataDir: string): Promise<Running | undefined> {
  const running = await readStateFile(dataDir);
  return running && (await pingRedis(running.url)) === 'ready' ? running : undefined;
}

export async function writeRunning(dataDir: string, running: Running): Promise<void> {
  const temp = `${statePath(dataDir)}.${process.pid}.tmp`;
  await rm(temp, { force: true }); // left by a crash, it could have other rights
  await writeFile(temp, `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
  await rename(temp, statePath(dataDir));
}

export async function removeRunning(dataDir: string): Promise<void> {
  await rm(statePath(dataDir), { force: true });
}

async function readStateFile(dataDir: string): Promise<Running | undefined> {
  try {
    const { url, redisPid, ownerPid, startedAt } = JSON.parse(await readFile(statePath(dataDir), 'utf8'));
    const isWhole =
      typeof url === 'string' && URL.canParse(url) && [redisPid, ownerPid, startedAt].every(Number.isInteger);
    return isWhole ? { url, redisPid, ownerPid, startedAt } : undefined;
  } catch {
    return undefined; // absent, or not ours: either way nothing is running that we know of
  }
}

function statePath(dataDir: string): string {
  return join(dataDir, 'running.json');
}
