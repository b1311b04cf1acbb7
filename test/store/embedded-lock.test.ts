// One owner per folder: the lock of a crash is taken over, that of a living process never, and of many at once one wins.

import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { lockFolder } from '../../src/store/embedded-lock.ts';
import { commandLineOf, identityOf, isAlive, stateOf } from '../../src/store/embedded-process.ts';
import { atEnd, CACHE, serversOn, spawnFixture, tempDir } from './embedded-support.ts';

const NO_SUCH_PID = 2 ** 22 + 1; // above the largest that Linux gives

async function identity(more: object) {
  return { ...(await identityOf(process.pid))!, ...more };
}

test('a lock is held until it is released, again and again', async () => {
  const dir = join(await tempDir(), 'made by the lock');
  for (let round = 0; round < 3; round++) {
    const lock = await lockFolder(dir);
    await expect(lockFolder(dir)).rejects.toMatchObject({ code: 'LK_DATA_BUSY' });
    await lock.release();
  }
  expect(await readdir(dir)).toEqual(['owner.3.lock']); // nothing piles up
});

test('the refusal is one line with the process, the folder and what to do', async () => {
  const dir = await tempDir();
  const lock = await lockFolder(dir);
  const { message } = await lockFolder(dir).catch((error) => error);
  expect(message).toBe(
    `the data folder ${dir} is in use, process ${process.pid} runs on it: stop that one first (kill ${process.pid}), ` +
      'or set LANEKEEPER_DATA to another folder',
  );
  await lock.release();
});

test.each<[string, () => Promise<string>, boolean]>([
  ['a process that is gone', async () => JSON.stringify(await identity({ pid: NO_SUCH_PID })), true],
  ['a pid that is another process by now', async () => JSON.stringify(await identity({ start: '1' })), true],
  ['a living process', async () => JSON.stringify(await identity({})), false],
  [
    'a living process after the machine was renamed',
    async () => JSON.stringify(await identity({ host: 'before' })),
    process.platform !== 'linux',
  ],
  [
    'a machine or container that cannot be seen',
    async () => JSON.stringify(await identity({ host: 'there', space: 'there' })),
    false,
  ],
  ['an owner that released it', async () => JSON.stringify(await identity({ released: true })), true],
  ['nobody: an empty file', async () => '', true],
  ['nobody: nonsense', async () => '{"pid":"x"}', true],
])('the lock of %s', async (_, content, isTaken) => {
  const dir = await tempDir();
  await writeFile(join(dir, 'owner.7.lock'), await content());
  const attempt = lockFolder(dir);
  if (isTaken) {
    await attempt;
    expect(await readdir(dir)).toEqual(['owner.8.lock']);
  } else {
    await expect(attempt).rejects.toMatchObject({ code: 'LK_DATA_BUSY' });
    expect(await readdir(dir)).toEqual(['owner.7.lock']);
  }
});

test('what cannot be seen from here is told with the way out', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'owner.1.lock'), JSON.stringify(await identity({ host: 'pod-7', space: 'there' })));
  const { message } = await lockFolder(dir).catch((error) => error);
  expect(message).toContain(
    `on pod-7 took it, and cannot be seen from here: if it is gone, remove ${join(dir, 'owner.1.lock')}`,
  );
  expect(hostname()).not.toBe('pod-7');
});

test('a folder that cannot be made is told in one line', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'file'), '');
  const error = await lockFolder(join(dir, 'file/data')).catch((thrown) => thrown);
  expect(error).toMatchObject({
    code: 'LK_CONFIG',
    message: expect.stringMatching(/^LANEKEEPER_DATA: expected .*, got ENOTDIR/),
  });
});

test('a zombie is gone, whatever its pid says', async () => {
  // This sh becomes `sleep` and never waits for the child it had before.
  const { spawn } = await import('node:child_process');
  const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  atEnd(() => parent.kill('SIGKILL'));
  const pid = await new Promise<number>((resolve) => parent.stdout.on('data', (data) => resolve(Number(data))));
  await vi.waitFor(async () => expect(await isAlive(pid)).toBe(false), { timeout: 10_000 });
  expect(() => process.kill(pid, 0)).not.toThrow(); // it is still in the process table
});

test('a process is known by its start and its command line', async () => {
  const me = (await identityOf(process.pid))!;
  expect(await stateOf(me)).toBe('alive');
  expect(await stateOf({ ...me, start: `${me.start}0` })).toBe('gone');
  expect(await identityOf(NO_SUCH_PID)).toBeUndefined();
  expect(await commandLineOf(process.pid)).toContain('node');
  expect(await commandLineOf(NO_SUCH_PID)).toBe('');
});

test('of 20 processes that start at once exactly one wins: on a new folder, and on one whose owner was killed', async () => {
  const dataDir = join(await tempDir(), 'shared');
  const contenders = Array.from({ length: 20 }, () => spawnFixture('contender', [dataDir, CACHE]));
  await Promise.all(contenders.map((contender) => contender.next()));

  let living = contenders;
  for (const round of ['new', 'stale', 'stale again']) {
    for (const { child } of living) child.stdin!.write(`${round}\n`);
    const results = await Promise.all(living.map((contender) => contender.next()));
    const winners = living.filter((_, index) => results[index]?.['won']);
    expect(results.filter((result) => result['error'] === 'LK_DATA_BUSY')).toHaveLength(living.length - 1);
    expect(winners).toHaveLength(1);
    expect(await serversOn(dataDir)).toHaveLength(1);
    winners[0]!.child.kill('SIGKILL');
    await winners[0]!.exited;
    living = living.filter((contender) => contender !== winners[0]);
  }
}, 120_000);

test('owners that come and go all the time are never two', async () => {
  const dir = await tempDir();
  const churners = Array.from({ length: 4 }, () => spawnFixture('churner', [dir, '100']));
  const told = await Promise.all(churners.map((churner) => churner.next()));
  expect(told.some(({ refused }) => Number(refused) > 0)).toBe(true); // they really met
  expect(await Promise.all(churners.map(({ exited }) => exited))).toEqual([0, 0, 0, 0]);
  expect(await readdir(dir)).toHaveLength(1);
}, 120_000);

test('a folder without the right to write is told in one line', async () => {
  const dir = join(await tempDir(), 'closed');
  await mkdir(dir);
  await chmod(dir, 0o500);
  const attempt = lockFolder(dir);
  if (process.getuid?.() === 0)
    await (await attempt).release(); // root may write everywhere
  else await expect(attempt).rejects.toMatchObject({ code: 'LK_CONFIG' });
});
