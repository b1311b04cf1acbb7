// The embedded Redis where only Docker can run it: the same promises, kept through the Docker client. The client is a stand-in
// that starts a real server, so that this is tested on machines without Docker as well.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { isAlive } from '../../src/store/embedded-process.ts';
import { startEmbeddedRedis } from '../../src/store/embedded-redis.ts';
import { findRedisServer, type RedisServerCommand } from '../../src/store/redis-server.ts';
import { atEnd, CACHE, connect, guardiansOf, tempDir } from './embedded-support.ts';

async function dockerOf(stateDir: string): Promise<RedisServerCommand> {
  const real = await findRedisServer({ cacheDir: CACHE, say: () => {} });
  const fake = fileURLToPath(new URL('./fixtures/fake-docker.ts', import.meta.url));
  const tsx = fileURLToPath(import.meta.resolve('tsx'));
  const argv = [process.execPath, '--import', tsx, fake, stateDir, JSON.stringify(real.argv)];
  return { kind: 'docker', argv, image: 'valkey/valkey:8', version: '8' };
}

test('starts, restarts and stops in a container, with nothing left of it', async () => {
  const [dataDir, stateDir] = [await tempDir(), await tempDir('docker')];
  const command = await dockerOf(stateDir);
  const redis = await startEmbeddedRedis({ dataDir, cacheDir: CACHE, say: () => {}, command });
  atEnd(() => redis.stop());
  const client = connect(redis.url);
  await client.set('kept', 'yes');
  expect(await client.info('server')).toContain(`process_id:${redis.pid}`); // the server's, not the client's

  const run = (await readFile(`${stateDir}/calls`, 'utf8')).split('\n').find((line) => line.startsWith('run'));
  expect(run).toContain(`--publish 127.0.0.1:${redis.port}:${redis.port}`);
  expect(run).toContain(`--mount type=bind,src=${dataDir}/redis,dst=/data`);
  expect(run).toContain(`--user ${process.getuid?.()}:${process.getgid?.()}`);
  expect(run).toMatch(/ valkey\/valkey:8 valkey-server \/data\/redis\.conf$/);
  expect(run).not.toContain(new URL(redis.url).password);

  const firstPid = redis.pid;
  await redis.restart();
  expect(await isAlive(firstPid)).toBe(false);
  expect(await client.get('kept')).toBe('yes');
  const secondPid = redis.pid;
  await redis.stop();
  expect(await isAlive(secondPid)).toBe(false);
});

test('a container whose client was killed is ended before the next start', async () => {
  const [dataDir, stateDir] = [await tempDir(), await tempDir('docker')];
  const command = await dockerOf(stateDir);
  const redis = await startEmbeddedRedis({ dataDir, cacheDir: CACHE, say: () => {}, command });
  atEnd(() => redis.stop());
  await connect(redis.url).set('kept', 'yes');
  const exits: string[] = [];
  redis.onExit((reason) => exits.push(reason));
  const { pid: containerPid } = redis;
  const clientPid = Number(await readFile(`${dataDir}/redis/redis.pid`, 'utf8'));
  expect(await guardiansOf(clientPid)).not.toEqual([]);
  process.kill(clientPid, 'SIGKILL');
  await vi.waitFor(() => expect(exits).toHaveLength(1), { timeout: 15_000 });
  expect(await isAlive(containerPid)).toBe(true); // Docker keeps it running

  await redis.restart();
  await vi.waitFor(async () => expect(await isAlive(containerPid)).toBe(false), { timeout: 15_000 });
  expect(await connect(redis.url).get('kept')).toBe('yes');
});
