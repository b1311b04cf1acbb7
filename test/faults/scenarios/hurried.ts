// Two SIGTERMs in a row while settles are under way: Redis hangs for half a second, so that every settle of the pod is in
// flight when it is told to leave, and each of them brings the next job with it. What it brought must go back as well, not
// lie active until its lock runs out. Short and long are the same.

import { type FaultOptions, inArena, trySignal } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { steady } from '../fleet/queues/lanes.ts';
import { lasts, until } from '../harness/until.ts';

const QUICK_MS = 400;
const HANG_MS = 1_000;
const GAP_MS = 100;
const START_MS = 2_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const count = options.short ? 10 : 20;
  return inArena('hurried while settling', options, 40_000, async (arena, evidence) => {
    const { ledger, look, keys, redis } = arena;
    const hurried = await arena.startPod('hurried', { concurrency: count });
    const quick = await ledger.addAll(steady, count, { firstHoldMs: QUICK_MS });
    const behind = await ledger.addAll(steady, count, { firstHoldMs: 300_000 });
    await until('the quick ones run', 20_000, () => arena.arrivals(quick).length >= count);
    trySignal(redis.pid, 'SIGSTOP');
    try {
      await lasts(HANG_MS);
      hurried.signal('SIGTERM');
      await lasts(GAP_MS);
      hurried.signal('SIGTERM');
      await lasts(GAP_MS);
    } finally {
      trySignal(redis.pid, 'SIGCONT');
    }
    const { code } = await hurried.exited;
    evidence.prove(code === 0, `the pod left with ${code}`);
    const active = await look.llen(`${keys.queuePrefix(steady)}:steady:active`);
    evidence.prove(active === 0, `it left no job active (${active} of ${count})`);
    await arena.startPod('next', { concurrency: count });
    const freshAt = arena.now();
    await until('what was behind runs', 30_000, () => new Set(ran(behind)).size === count);
    evidence.longestRerunMs = Math.max(...arena.arrivals(behind).map(({ at }) => at)) - freshAt;
    evidence.prove(evidence.longestRerunMs <= START_MS, 'another pod started all of it within 2 s of its own start');

    function ran(ids: string[]): string[] {
      return arena
        .arrivals(ids)
        .filter(({ pod }) => pod === 'next')
        .map(({ job }) => job);
    }
  });
}
