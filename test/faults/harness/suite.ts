// Runs faults side by side, a few at a time, as vitest tests; prints one table when the last is over, whatever became of
// them; and fails when a socket or a process of ours is left in this process.

import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { FaultOptions } from '../arena.ts';
import { type Evidence, toTable } from '../evidence.ts';

export type Fault<E extends Evidence = Evidence> = [name: string, run: (options: FaultOptions) => Promise<E>];

export interface Suite<E extends Evidence = Evidence> {
  short: boolean;
  /** How many faults take place at once: each has three or four processes. */
  atOnce: number;
  /** For one fault, its wait for its turn included. */
  timeoutMs: number;
  /** Default: one row per fault with its reckoning of jobs. */
  table?: (all: readonly E[]) => string;
}

export function runFaults<E extends Evidence = Evidence>(faults: readonly Fault<E>[], suite: Suite<E>): void {
  const { short, atOnce, timeoutMs, table = toTable } = suite;
  const seed = Number(process.env.FAULTS_SEED) || randomInt(1, 1_000_000);
  const turn = createTurns(atOnce);
  const all: E[] = [];
  let before: ReturnType<typeof openHandles>;
  vi.setConfig({ maxConcurrency: faults.length }); // all may start: how many at once, the turns decide

  beforeAll(() => {
    before = openHandles();
  });
  for (const [index, [name, run]] of faults.entries()) {
    it.concurrent(
      name,
      async () => {
        // The same for a fault whether it runs alone or with the others.
        const evidence = await turn(() => run({ seed: seed + index, short }));
        all.push(evidence);
        expect(evidence.problems.join('\n'), `${evidence.fault}, FAULTS_SEED=${seed}`).toBe('');
      },
      timeoutMs,
    );
  }
  afterAll(async () => {
    console.log(`FAULTS_SEED=${seed}\n${table(all)}`);
    await vi.waitFor(() => expect(openHandles(), 'left open by a fault').toEqual(before), { timeout: 5_000 });
  });
}

export function createTurns(atOnce: number): <T>(run: () => Promise<T>) => Promise<T> {
  const line: (() => void)[] = [];
  let running = 0;
  return async (run) => {
    if (running >= atOnce) await new Promise<void>((resolve) => line.push(resolve));
    else running++;
    try {
      return await run();
    } finally {
      const next = line.shift();
      if (next) next();
      else running--;
    }
  };
}

function openHandles(): { sockets: number; processes: number } {
  const resources = process.getActiveResourcesInfo();
  const count = (kind: string) => resources.filter((name) => name === kind).length;
  return { sockets: count('TCPSocketWrap'), processes: count('ProcessWrap') };
}
