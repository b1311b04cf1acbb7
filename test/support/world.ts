// What a test works with: a namespace of its own on a real Redis, pods, producers, a judge. When the test is over everything
// it opened is stopped, and the test fails if a socket or a child process is left: stop() must mean stopped.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { expect, inject, test, vi } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { createPod, type Pod, type PodOptions } from '../../src/engine/pod.ts';
import type { Handler, Lane, Producer } from '../../src/index.ts';
import { createProducer } from '../../src/index.ts';
import { type LaneQueue, openLaneQueue } from '../../src/store/lane-queue.ts';
import type { EventName, Events } from '../../src/words/events.ts';
import { createKeys, type Keys } from '../../src/words/keys.ts';
import { type CliResult, MAIN, runToEnd, runWarm } from './commands.ts';

export type { CliResult };

export interface World {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly keys: Keys;
  /** For looking from outside. */
  readonly redis: Redis;
  /** A started pod that is stopped with the test. */
  pod(handlers: Handler[], options?: Partial<PodOptions>): Promise<Pod>;
  producer(): Promise<Producer>;
  queue(lane: Lane): LaneQueue;
  /** Every event of a pod, in order. */
  record(pod: Pod): { name: EventName; data: Events[EventName] }[];
  /** An empty folder that goes with the test. */
  folder(): Promise<string>;
  /** A process of `lanekeeper …` from dist/ that is killed with the test. */
  spawn(args: string[], env?: NodeJS.ProcessEnv): ChildProcess;
  /** Runs `lanekeeper …` to its end: one after another, in a process that has loaded it already. */
  cli(args: string[], env?: NodeJS.ProcessEnv, input?: string | Uint8Array): Promise<CliResult>;
  /** As people do, in a process of its own, which takes half a second of a core. */
  cliProcess(args: string[], env?: NodeJS.ProcessEnv, input?: string | Uint8Array): Promise<CliResult>;
  /** Called, last first, when the test is over. */
  defer(cleanup: () => Promise<unknown> | unknown): void;
}

export const it = test.extend<{ world: World }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the fixtures a fixture needs from this pattern
  world: async ({}, use) => {
    const before = openHandles();
    const { world, close } = createWorld();
    await use(world);
    await close();
    await vi.waitFor(() => expect(openHandles(), 'left open by this test').toEqual(before), {
      timeout: 5_000,
      interval: 20,
    });
  },
});

function openHandles(): { sockets: number; processes: number } {
  const resources = process.getActiveResourcesInfo();
  const count = (kind: string) => resources.filter((name) => name === kind).length;
  return { sockets: count('TCPSocketWrap'), processes: count('ProcessWrap') };
}

function createWorld(): { world: World; close: () => Promise<void> } {
  const redisUrl = inject('redisUrl');
  const prefix = `t-${randomBytes(6).toString('hex')}`;
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const cleanups: (() => Promise<unknown> | unknown)[] = [];
  const defer = (cleanup: () => Promise<unknown> | unknown) => void cleanups.push(cleanup);
  const keys = createKeys(prefix);
  const childEnv = (env: NodeJS.ProcessEnv = {}) => ({
    ...process.env,
    REDIS_URL: redisUrl,
    LANEKEEPER_PREFIX: prefix,
    LANEKEEPER_PORT: '0',
    LANEKEEPER_METRICS_PORT: '0',
    NO_COLOR: '1',
    ...env,
  });

  const world: World = {
    redisUrl,
    prefix,
    keys,
    redis,
    defer,
    async pod(handlers, options = {}) {
      const pod = createPod({
        redisUrl,
        prefix,
        handlers,
        concurrency: 64,
        log: pino({ level: 'silent' }),
        watchdog: false,
        ...options,
      });
      defer(() => pod.stop('the test is over', 0));
      await pod.start();
      return pod;
    },
    async producer() {
      const producer = await createProducer({ redis: redisUrl, prefix });
      defer(() => producer.close());
      return producer;
    },
    queue(lane) {
      const laneQueue = openLaneQueue(redis, keys, lane);
      defer(() => laneQueue.close());
      return laneQueue;
    },
    record(pod) {
      const seen: { name: EventName; data: Events[EventName] }[] = [];
      pod.events.onAny((name, data) => void seen.push({ name, data }));
      return seen;
    },
    async folder() {
      const folder = await mkdtemp(join(tmpdir(), 'lanekeeper-test-'));
      defer(() => rm(folder, { recursive: true, force: true }));
      return folder;
    },
    spawn(args, env) {
      const child = spawn(process.execPath, [MAIN, ...args], {
        cwd: ROOT,
        env: childEnv(env),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      defer(() => endProcess(child));
      return child;
    },
    cli(args, env, input) {
      return runWarm(args, childEnv(env), input);
    },
    cliProcess(args, env, input) {
      return runToEnd(args, childEnv(env), input);
    },
  };

  async function close(): Promise<void> {
    for (const cleanup of cleanups.reverse()) await cleanup();
    const stream = redis.scanStream({ match: `${prefix}:*`, count: 1_000 });
    for await (const found of stream) if (found.length > 0) await redis.unlink(...(found as string[]));
    redis.disconnect();
  }

  return { world, close };
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
