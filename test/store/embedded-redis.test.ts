// The embedded Redis with real servers and a real kill -9: it is what a queue needs, it ends with its owner however that
// ends, there is never a second one, and no data is lost on the way.

import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { maxMemoryBytes } from '../../src/store/embedded-conf.ts';
import { commandLineOf, isAlive } from '../../src/store/embedded-process.ts';
import { type EmbeddedOptions, readRunning, startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { atEnd, CACHE, connect, guardiansOf, serversOn, spawnFixture, tempDir } from './embedded-support.ts';

/** Ends of processes and reconnects; far above what is needed, because machines that test are busy. */
const SOON = { timeout: 15_000, interval: 25 };

async function start(dataDir: string, more: Partial<EmbeddedOptions> = {}) {
  const redis = await startEmbeddedRedis({ dataDir, cacheDir: CACHE, say: () => {}, ...more });
  atEnd(() => redis.stop());
  return redis;
}

test('is a Redis fit for queues: durable, never evicting, private', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  const client = connect(redis.url);
  const config = async (name: string) => ((await client.config('GET', name)) as string[])[1];

  expect(await config('appendonly')).toBe('yes');
  expect(await config('appendfsync')).toBe('everysec');
  expect(await config('save')).toBe('');
  expect(await config('maxmemory-policy')).toBe('noeviction');
  expect(Number(await config('maxmemory'))).toBeGreaterThan(0);
  expect(await config('bind')).toBe('127.0.0.1');
  expect(await config('dir')).toBe(join(dataDir, 'redis'));
  expect(await client.info('server')).toContain(`process_id:${redis.pid}`);

  const password = new URL(redis.url).password;
  expect(password).toMatch(/^[0-9a-f]{32}$/);
  expect(await commandLineOf(redis.pid)).not.toContain(password);
  expect((await stat(join(dataDir, 'redis'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(dataDir, 'redis/redis.conf'))).mode & 0o777).toBe(0o600);
  const stranger = connect(`redis://127.0.0.1:${redis.port}`);
  await expect(stranger.get('a')).rejects.toThrow(/NOAUTH/);
});

test('uses half of the memory: of the machine, or of its cgroup where that is less', () => {
  expect(maxMemoryBytes(8_000, 0)).toBe(4_000);
  expect(maxMemoryBytes(8_000, 3_000)).toBe(1_500);
  expect(maxMemoryBytes(8_000, 2 ** 64)).toBe(4_000); // how some kernels spell "no limit"
});

test('is found by others through running.json, until it stops', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  expect(await readRunning(dataDir)).toMatchObject({ url: redis.url, redisPid: redis.pid, ownerPid: process.pid });
  expect((await stat(join(dataDir, 'running.json'))).mode & 0o777).toBe(0o600);

  const exits: string[] = [];
  redis.onExit((reason) => exits.push(reason));
  const guardians = await guardiansOf(redis.pid);
  expect(guardians).not.toEqual([]);
  await Promise.all([redis.stop(), redis.stop()]);

  expect(await isAlive(redis.pid)).toBe(false);
  await vi.waitFor(async () => {
    for (const pid of guardians) expect(await isAlive(pid)).toBe(false);
  }, SOON);
  expect(await readdir(dataDir)).not.toContain('running.json');
  expect(await readRunning(dataDir)).toBeUndefined();
  expect(exits).toEqual([]);
  await expect(redis.restart()).rejects.toMatchObject({ code: 'LK_NOT_RUNNING' });
});

test('running.json that is stale, half or nonsense is ignored', async () => {
  const dataDir = await tempDir();
  expect(await readRunning(dataDir)).toBeUndefined();
  expect(await readRunning(join(dataDir, 'absent'))).toBeUndefined();
  const stale = { url: 'redis://:x@127.0.0.1:1', redisPid: 1, ownerPid: 1, startedAt: 1 };
  for (const text of ['', '{', 'null', '[]', '{"url":3}', '{"url":"redis://127.0.0.1:1"}', JSON.stringify(stale)]) {
    await writeFile(join(dataDir, 'running.json'), text);
    expect(await readRunning(dataDir)).toBeUndefined();
  }
});

test('kill -9 of the owner ends the server', async () => {
  const dataDir = await tempDir();
  const owner = spawnFixture('owner', [dataDir, CACHE]);
  const { pid, url } = (await owner.next()) as { pid: number; url: string };
  await connect(url).set('kept', 'yes');
  const guardians = await guardiansOf(pid);

  owner.child.kill('SIGKILL');
  await vi.waitFor(async () => {
    for (const one of [pid, ...guardians]) expect(await isAlive(one)).toBe(false);
  }, SOON);
  expect(await readRunning(dataDir)).toBeUndefined();

  const next = await start(dataDir);
  expect(await connect(next.url).get('kept')).toBe('yes');
});

test.each([
  ['running', async () => {}],
  ['frozen', async (_: string, pid: number) => void process.kill(pid, 'SIGSTOP')],
  ['without its pid file', async (dataDir: string) => rm(join(dataDir, 'redis/redis.pid'))],
])('kill -9 of owner and guardian: the next start ends the left-over, %s, and keeps the data', async (_, then) => {
  const dataDir = await tempDir();
  const owner = spawnFixture('owner', [dataDir, CACHE]);
  const { pid, url } = (await owner.next()) as { pid: number; url: string };
  await connect(url).set('kept', 'yes');
  // Stopped first: an owner that sees its guardian die ends the server itself, if it gets round to it.
  owner.child.kill('SIGSTOP');
  for (const guardian of await guardiansOf(pid)) process.kill(guardian, 'SIGKILL');
  owner.child.kill('SIGKILL');
  await owner.exited;
  expect(await isAlive(pid)).toBe(true); // it really is left over
  await then(dataDir, pid);

  const said: string[] = [];
  const next = await start(dataDir, { say: (line) => said.push(line) });
  expect(await isAlive(pid)).toBe(false);
  expect(said.join()).toContain(`process ${pid}`);
  expect(await serversOn(dataDir)).toEqual([next.pid]);
  expect(await connect(next.url).get('kept')).toBe('yes');
});

test('a pid file that names a stranger by now ends nobody', async () => {
  const dataDir = await tempDir();
  const first = await start(dataDir);
  await first.stop();
  const stranger = spawnFixture('contender', [join(dataDir, 'redis'), CACHE]); // names the folder, is no server
  await stranger.next();
  await writeFile(join(dataDir, 'redis/redis.pid'), `${stranger.child.pid}\n`);
  await start(dataDir);
  expect(await isAlive(stranger.child.pid!)).toBe(true);
});

test('two on one folder are refused, in one process and in two', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  const refused = {
    code: 'LK_DATA_BUSY',
    message: expect.stringMatching(new RegExp(`^[^\\n]*${process.pid}[^\\n]*$`)),
  };
  await expect(start(dataDir)).rejects.toMatchObject(refused);
  expect(await spawnFixture('owner', [dataDir, CACHE]).next()).toMatchObject({ error: 'LK_DATA_BUSY' });
  expect(await serversOn(dataDir)).toEqual([redis.pid]);
  expect(await readRunning(dataDir)).toMatchObject({ redisPid: redis.pid });

  await redis.stop();
  await start(dataDir);
});

test('a server that dies is told, and restarted on the same port, password and data; clients come back by themselves', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  const client = connect(redis.url);
  await client.set('kept', 'yes');
  const exits: string[] = [];
  redis.onExit((reason) => exits.push(reason));
  const unsubscribed: string[] = [];
  redis.onExit((reason) => unsubscribed.push(reason))();

  const { pid: firstPid } = redis;
  process.kill(firstPid, 'SIGKILL');
  await vi.waitFor(() => expect(exits).toEqual([`the Redis server (process ${firstPid}) ended with signal 9`]), SOON);
  expect(await readRunning(dataDir)).toBeUndefined();

  await redis.restart();
  expect(redis.pid).not.toBe(firstPid);
  expect(await client.get('kept')).toBe('yes');
  expect(await readRunning(dataDir)).toMatchObject({ url: redis.url, redisPid: redis.pid });

  const { pid: secondPid } = redis;
  await redis.restart(); // of one that runs
  expect(await isAlive(secondPid)).toBe(false);
  expect(await client.get('kept')).toBe('yes');
  expect(await serversOn(dataDir)).toEqual([redis.pid]);
  expect(exits).toHaveLength(1);
  expect(unsubscribed).toEqual([]);
});

test('a guardian killed alone takes its server with it, and that is told', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  const exits: string[] = [];
  redis.onExit((reason) => exits.push(reason));
  for (const guardian of await guardiansOf(redis.pid)) process.kill(guardian, 'SIGKILL');
  await vi.waitFor(() => expect(exits).toHaveLength(1), SOON);
  expect(await isAlive(redis.pid)).toBe(false);
});

test('SIGTERM to the guardian ends the server in good order', async () => {
  const redis = await start(await tempDir());
  const exits: string[] = [];
  redis.onExit((reason) => exits.push(reason));
  for (const guardian of await guardiansOf(redis.pid)) process.kill(guardian, 'SIGTERM');
  await vi.waitFor(() => expect(exits).toEqual([expect.stringMatching(/status 0$/)]), SOON);
  expect(await isAlive(redis.pid)).toBe(false);
});

test('a frozen server is stopped as well', async () => {
  const dataDir = await tempDir();
  const redis = await start(dataDir);
  process.kill(redis.pid, 'SIGSTOP');
  expect(await readRunning(dataDir)).toBeUndefined(); // it does not answer
  await redis.stop();
  expect(await isAlive(redis.pid)).toBe(false);
});

test('Ctrl-C in the terminal of the owner does not reach the server', async () => {
  const owner = spawnFixture('owner', [await tempDir(), CACHE], { detached: true });
  const { url } = (await owner.next()) as { url: string };
  process.kill(-owner.child.pid!, 'SIGINT');
  expect(await owner.next()).toEqual({ signal: 'SIGINT' });
  expect(await connect(url).ping()).toBe('PONG');
});

test.each(['stop', 'leave'])(
  'an owner with nothing left to do ends by itself, and its server with it: %s',
  async (mode) => {
    const dataDir = await tempDir();
    const owner = spawnFixture('owner', [dataDir, CACHE, mode]);
    const { pid } = (await owner.next()) as { pid: number };
    expect(await owner.exited).toBe(0);
    await vi.waitFor(async () => expect(await isAlive(pid)).toBe(false), SOON);
  },
);

test('a port that is taken between choice and start is replaced by another', async () => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => blocker.once('listening', resolve));
  atEnd(() => blocker.close());
  const { port: taken } = blocker.address() as { port: number };
  let asked = 0;
  const { freePort } = await import('../../src/store/embedded-server.ts');
  const redis = await start(await tempDir(), { choosePort: async () => (++asked <= 2 ? taken : freePort()) });
  expect(asked).toBe(3);
  expect(redis.port).not.toBe(taken);
  expect(await connect(redis.url).ping()).toBe('PONG');

  const always = start(await tempDir(), { choosePort: async () => taken });
  await expect(always).rejects.toMatchObject({ code: 'LK_PORT' });
});

test('a server that dies at its start says why, and leaves the folder free', async () => {
  const dataDir = await tempDir();
  const first = await start(dataDir);
  await connect(first.url).set('kept', 'yes');
  await first.stop();
  const aofDir = join(dataDir, 'redis/appendonlydir');
  const manifest = join(aofDir, (await readdir(aofDir)).find((name) => name.endsWith('.manifest'))!);
  const whole = await readFile(manifest);
  await appendFile(manifest, 'nonsense\n');
  const error = await start(dataDir).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: 'LK_REDIS_DOWN' });
  expect(error.message).toMatch(/status 1; its log \(.*redis\.log\) ends: .*manifest/);
  expect(error.message).not.toContain('\n');
  expect(await serversOn(dataDir)).toEqual([]);

  await writeFile(manifest, whole);
  const next = await start(dataDir);
  expect(await connect(next.url).get('kept')).toBe('yes');
});

test('a program that cannot be started at all says so', async () => {
  const command = { kind: 'program', argv: [join(await tempDir(), 'redis-server')], version: '7.0.0' } as const;
  const error = await start(await tempDir(), { command }).catch((thrown) => thrown);
  expect(error).toMatchObject({ code: 'LK_REDIS_DOWN', message: expect.stringMatching(/status 127.*not found/) });
});

test('a log that cannot be written to is told, and the folder is free again', async () => {
  const dataDir = await tempDir();
  await mkdir(join(dataDir, 'redis/redis.log'), { recursive: true });
  const told = { code: 'LK_REDIS_DOWN', message: expect.stringContaining(join(dataDir, 'redis/redis.log')) };
  await expect(start(dataDir)).rejects.toMatchObject(told);
  await rm(join(dataDir, 'redis/redis.log'), { recursive: true });
  await start(dataDir);
});

test('is ready only when its data is read', async () => {
  const dataDir = await tempDir();
  const first = await start(dataDir);
  const client = connect(first.url);
  await client.eval("for i = 1, 300000 do redis.call('SET', 'k' .. i, string.rep('x', 50)) end", 0);
  await first.restart();
  expect(await connect(first.url).dbsize()).toBe(300_000);
});

test('a folder with quotes, backslashes and other scripts in its name works', async () => {
  const dataDir = join(await tempDir(), `it's "quoted" \\ $HOME; ключ`);
  await mkdir(dataDir);
  const redis = await start(dataDir);
  await connect(redis.url).set('kept', 'yes');
  await redis.stop();
  const next = await start(dataDir);
  expect(await connect(next.url).get('kept')).toBe('yes');
  expect(new URL(next.url).password).toBe(new URL(redis.url).password);
});
