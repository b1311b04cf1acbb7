// Pods of their own processes that use a limit through the driver on Bottleneck, and write down what they did.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { vi } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import type { Patch } from '../../src/store/bottleneck-connection.ts';
import { setLimit } from '../../src/store/scripts/set-limit.ts';
import type { Limit } from '../../src/words/limit.ts';
import type { World } from '../support/world.ts';
import type { Work } from './limit-desk.ts';
import { type Entry, machineMs, readLedger } from './limit-ledger.ts';

export const concurrent = (size: number): Limit => ({
  name: 'concurrent',
  kind: 'concurrent',
  size,
  perMs: 0,
  byAgent: false,
});
export const perSecond = (size: number): Limit => ({
  name: 'per-1s',
  kind: 'count',
  size,
  perMs: 1_000,
  byAgent: false,
});

/** As somebody orders it, until it is reset. */
export const orderSize = ({ redis, keys }: World, tag: string, limit: string, size: number) =>
  setLimit.run(
    redis,
    { limits: keys.limits(tag), journal: keys.journal(tag) },
    { limit, size, who: 'op', reason: 'test', forMs: '', notice: keys.limitNotice(tag), known: '{}', defined: '' },
  );

export interface UserOptions {
  works: Omit<Work, 'begin'>[];
  without?: Patch;
  isAhead?: boolean;
  redisUrl?: string;
}

export interface Users {
  add(pod: string, options: UserOptions): ChildProcess;
  entries(): Entry[];
  /** Both count what it ran until now. */
  kill(pod: string): void;
  pause(pod: string): void;
  wake(pod: string): void;
  /** Resolves when work has begun after that instant, by that pod, that often. */
  begun(pod: string, sinceMs: number, times?: number): Promise<void>;
  /** Ends them as a deploy would. */
  stop(): Promise<void>;
}

export async function usersOf(world: World, tag: string, limits: Limit[]): Promise<Users> {
  const file = join(await world.folder(), 'ledger');
  const children = new Map<string, ChildProcess>();
  const haltedMs: Record<string, number[]> = {};
  const halt = (pod: string, signal: NodeJS.Signals) => {
    children.get(pod)?.kill(signal);
    haltedMs[pod] = [...(haltedMs[pod] ?? []), machineMs()];
  };
  const exited = (child: ChildProcess) =>
    child.exitCode !== null || child.signalCode !== null ? undefined : new Promise((done) => child.once('exit', done));
  world.defer(async () => {
    for (const child of children.values()) child.kill('SIGKILL');
    await Promise.all([...children.values()].map(exited));
  });
  const users: Users = {
    add(pod, { works, without, isAhead, redisUrl = world.redisUrl }) {
      const plan = { driver: 'bottleneck', limits, travelMs: 10 };
      const what = { redisUrl, prefix: world.prefix, tag, pod, plan, works, file, without };
      const fixture = (name: string) => join(ROOT, 'test', 'store', 'fixtures', `${name}.ts`);
      const ahead = isAhead ? ['--import', fixture('clock-ahead')] : [];
      const argv = ['--import', 'tsx', ...ahead, fixture('limit-user'), JSON.stringify(what)];
      const child = spawn(process.execPath, argv, { cwd: ROOT, stdio: ['pipe', 'ignore', 'inherit'] });
      child.stdin?.on('error', () => {}); // killed on purpose
      children.set(pod, child);
      return child;
    },
    entries: () => readLedger(file, haltedMs),
    kill: (pod) => halt(pod, 'SIGKILL'),
    pause: (pod) => halt(pod, 'SIGSTOP'),
    wake(pod) {
      children.get(pod)?.kill('SIGCONT');
    },
    async begun(pod, sinceMs, times = 1) {
      const found = () => users.entries().filter((entry) => entry.pod === pod && entry.beganMs > sinceMs).length;
      await vi.waitUntil(() => found() >= times, { timeout: 30_000, interval: 50 });
    },
    async stop() {
      for (const child of children.values()) child.stdin?.end();
      await Promise.all([...children.values()].map(exited));
    },
  };
  return users;
}
