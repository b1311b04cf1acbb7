// A disk that can be filled: a tmpfs of its own, mounted by the run and unmounted after it. Mounting takes root, as on CI; where
// it is not allowed the run fails and says so, because a fault that did not take place proves nothing.

import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SmallDisk {
  readonly dir: string;
  /** Until not a byte more fits. */
  fill(): Promise<void>;
  makeRoom(): Promise<void>;
  remove(): Promise<void>;
}

export async function mountSmallDisk(mib: number): Promise<SmallDisk> {
  const dir = await mkdtemp(join(tmpdir(), 'lanekeeper-disk-'));
  const ballast = join(dir, 'ballast');
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m,mode=0700`, 'lanekeeper-disk', dir]);
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    const said = (error as Error).message.replace(/\s+/g, ' ').trim();
    throw new Error(`expected to be allowed to mount a small tmpfs (run as root on Linux), got: ${said}`);
  }
  return {
    dir,
    async fill() {
      const file = await open(ballast, 'a');
      try {
        for (let bytes = 2 ** 20; bytes >= 1; ) {
          const { bytesWritten } = await file.write(Buffer.alloc(bytes)).catch(() => ({ bytesWritten: 0 }));
          if (bytesWritten === 0) bytes = Math.floor(bytes / 2);
        }
      } finally {
        await file.close();
      }
    },
    makeRoom: () => rm(ballast, { force: true }),
    async remove() {
      await run('umount', [dir]).catch(() => run('umount', ['-l', dir]));
      await rm(dir, { recursive: true, force: true });
    },
  };
}
