// Real Redis servers of a test's own, started bare: no persistence, no password, gone with the test, or with the file whose tests
// share them. Each may be frozen, killed, emptied and started anew at its port.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { ROOT } from '../../../scripts/prepare.js';
import { freePort } from '../../../src/store/embedded-server.ts';
import { findRedisServer } from '../../../src/store/redis-server.ts';
import type { World } from '../../support/world.ts';

export interface BareServer {
  readonly url: string;
  readonly port: number;
  readonly admin: Redis;
  freeze(): void;
  thaw(): void;
  kill(): Promise<void>;
  /** At the same port, with nothing in it. */
  restart(): Promise<void>;
  /** Up, awake and empty again, whatever was done to it. */
  mend(): Promise<void>;
}

type Stage = Pick<World, 'folder' | 'defer'>;

/** So many for all tests of a file: whoever borrows them leaves them as new. */
export function shareServers(count: number): (world: World) => readonly BareServer[] {
  const cleanups: (() => Promise<unknown> | unknown)[] = [];
  let servers: readonly BareServer[] = [];
  const stage: Stage = {
    async folder() {
      const folder = await mkdtemp(join(tmpdir(), 'lanekeeper-test-'));
      stage.defer(() => rm(folder, { recursive: true, force: true }));
      return folder;
    },
    defer: (cleanup) => void cleanups.push(cleanup),
  };
  beforeAll(async () => {
    servers = await Promise.all(Array.from({ length: count }, () => startServer(stage)));
  });
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  return (world) => {
    world.defer(() => Promise.all(servers.map((server) => server.mend())));
    return servers;
  };
}

export async function startServer(world: Stage, more: readonly string[] = []): Promise<BareServer> {
  const port = await freePort();
  const dir = await world.folder();
  const command = await findRedisServer({ cacheDir: join(ROOT, '.lanekeeper', 'server'), say: () => {} });
  const [program = '', ...argv] = command.argv;
  let child: ChildProcess | undefined;
  const admin = new Redis(port, '127.0.0.1', {
    maxRetriesPerRequest: null,
    retryStrategy: () => 20,
    lazyConnect: true,
  });
  admin.on('error', () => {});

  async function start(): Promise<void> {
    const bare = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'];
    child = spawn(program, [...argv, ...bare, ...more], { stdio: 'ignore' });
  }

  const kill = async () => {
    const gone = child;
    if (!gone || gone.exitCode !== null || gone.signalCode !== null) return;
    const ended = new Promise((resolve) => gone.once('exit', resolve));
    gone.kill('SIGKILL');
    await ended;
  };
  world.defer(async () => {
    admin.disconnect();
    await kill();
  });
  const restart = async () => {
    await kill();
    await start();
    await untilUp(admin);
  };
  await start();
  await admin.connect().catch(() => {});
  await untilUp(admin);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    admin,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    restart,
    async mend() {
      child?.kill('SIGCONT');
      if (child?.exitCode !== null || child.signalCode !== null) await restart();
      await admin.flushall();
    },
  };
}

async function untilUp(admin: Redis): Promise<void> {
  await vi.waitFor(async () => expect(await admin.ping()).toBe('PONG'), { timeout: 10_000, interval: 10 });
}
