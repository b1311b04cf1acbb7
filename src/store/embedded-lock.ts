// One owner per data folder. The lock is the highest-numbered file `owner.<n>.lock`; it names its process, so that a lock
// left by a crash is seen to be stale.
//
// Why numbers: with a single file, "stale, so remove it and make mine" removes a lock that another process took a moment
// earlier. Here nothing is ever freed for reuse: the next owner makes number n+1 (a hard link, which fails if it exists and
// shows the whole content or nothing) and then looks again. The highest number only grows, because files below it are removed
// only after it exists and a released one stays; so whoever sees its own file on top after making it is the only owner.

import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LanekeeperError } from '../words/errors.ts';
import { identityOf, type ProcessIdentity, stateOf } from './embedded-process.ts';

const LOCK_NAME = /^owner\.(\d+)\.lock$/;

export interface FolderLock {
  release(): Promise<void>;
}

type Content = ProcessIdentity & { released?: boolean };

let attempts = 0;

/** Fails with LK_DATA_BUSY while a living process has the folder. */
export async function lockFolder(dir: string): Promise<FolderLock> {
  const temp = join(dir, `owner-${process.pid}-${++attempts}.tmp`);
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(temp, JSON.stringify(await myself()), { mode: 0o600 });
    return await take(dir, temp);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof LanekeeperError) throw error;
    const expected = 'a data folder this user can write to, on a file system with hard links';
    throw new LanekeeperError('LK_CONFIG', `LANEKEEPER_DATA: expected ${expected}, got ${code} for ${dir}`, {
      cause: error,
    });
  } finally {
    await rm(temp, { force: true }).catch(() => {}); // never made, when the folder cannot be written to
  }
}

async function myself(): Promise<ProcessIdentity> {
  const me = await identityOf(process.pid);
  if (me) return me;
  throw new LanekeeperError(
    'LK_DATA_BUSY',
    'cannot lock the data folder: `ps` does not tell when this process started',
  );
}

async function take(dir: string, temp: string): Promise<FolderLock> {
  for (;;) {
    const highest = await highestLock(dir);
    if (highest > 0) {
      const content = await readLock(lockPath(dir, highest));
      // Removed since: a higher one exists by now.
      if (content === 'removed') continue;
      if (content && !content.released) await refuseUnlessGone(dir, lockPath(dir, highest), content);
    }
    const mine = lockPath(dir, highest + 1);
    try {
      await link(temp, mine);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue; // somebody was faster: look who
      throw error;
    }
    if ((await highestLock(dir)) === highest + 1) {
      await removeBelow(dir, highest + 1);
      return { release: () => markReleased(mine) };
    }
    await rm(mine, { force: true });
  }
}

async function refuseUnlessGone(dir: string, path: string, owner: Content): Promise<void> {
  const state = await stateOf(owner);
  if (state === 'gone') return;
  const what =
    state === 'alive'
      ? `process ${owner.pid} runs on it: stop that one first (kill ${owner.pid})`
      : `process ${owner.pid} on ${owner.host} took it, and cannot be seen from here: if it is gone, remove ${path}`;
  throw new LanekeeperError(
    'LK_DATA_BUSY',
    `the data folder ${dir} is in use, ${what}, or set LANEKEEPER_DATA to another folder`,
  );
}

/** undefined for a file that is no lock of ours: nobody's, so it may be passed over. */
async function readLock(path: string): Promise<Content | 'removed' | undefined> {
  try {
    const content = JSON.parse(await readFile(path, 'utf8')) as Partial<Content> | null;
    return typeof content?.pid === 'number' && typeof content.start === 'string' ? (content as Content) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'removed';
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function markReleased(path: string): Promise<void> {
  const temp = `${path}.${process.pid}.tmp`;
  await writeFile(temp, JSON.stringify({ ...(await myself()), released: true }), { mode: 0o600 });
  await rename(temp, path);
}

async function highestLock(dir: string): Promise<number> {
  return Math.max(0, ...(await lockNumbers(dir)));
}

async function removeBelow(dir: string, number: number): Promise<void> {
  for (const lower of await lockNumbers(dir)) {
    if (lower < number) await rm(lockPath(dir, lower), { force: true });
  }
}

async function lockNumbers(dir: string): Promise<number[]> {
  return (await readdir(dir)).flatMap((name) => LOCK_NAME.exec(name)?.[1] ?? []).map(Number);
}

function lockPath(dir: string, number: number): string {
  return join(dir, `owner.${number}.lock`);
}
