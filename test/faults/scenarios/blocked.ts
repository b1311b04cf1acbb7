// A handler that blocks the event loop for 30 s, longer than its lock lives: its job, and what else that pod had in hand, run
// elsewhere once and settle once. The short form blocks for 3 s, within the lock: nothing runs twice and all is settled where
// it was; that locks run out, it does not show.

import { type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { poison, steady } from '../fleet/queues/lanes.ts';
import { lasts, until } from '../harness/until.ts';

const LOCK_MS = 20_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const blockMs = options.short ? 3_000 : 30_000;
  return inArena(`event loop blocked ${blockMs / 1_000} s`, options, 40_000, async (arena, evidence) => {
    const { ledger } = arena;
    const blocked = await arena.startPod('blocked');
    const beside = await ledger.addAll(steady, 20, { firstHoldMs: 2_000 });
    await until('others are in hand', 20_000, () => arena.arrivals(beside).length >= 20);
    const culprit = (await ledger.add(poison, { kind: 'block', blockMs })) ?? '';
    await until('it blocks', 10_000, () => arena.arrivals([culprit]).length > 0);
    const blockedAt = arena.now();
    const other = await arena.startPod('other');
    const jobs = [culprit, ...beside];
    const again = () => arena.arrivals(jobs).filter(({ start }) => start > 1);
    if (blockMs > LOCK_MS) {
      await until('all run elsewhere', 30_000, () => new Set(again().map(({ job }) => job)).size === jobs.length);
      evidence.longestRerunMs = Math.max(...again().map(({ at }) => at)) - blockedAt;
      evidence.prove(blocked.said('pod.blocked') > 0, 'the watchdog said that it blocks');
    }
    await lasts(blockedAt + blockMs - arena.now());
    const load = ledger.load(20, () => ({ lane: steady }));
    await until('the pod works again', 20_000, () =>
      arena.arrivals().some(({ pod, at }) => pod === 'blocked' && at > blockedAt + blockMs),
    );
    await load.stop();
    const starts = again();
    evidence.prove(
      blockMs > LOCK_MS
        ? starts.length === jobs.length && starts.every(({ pod }) => pod === 'other')
        : starts.length === 0,
      blockMs > LOCK_MS ? 'each ran elsewhere, once' : 'nothing ran twice',
    );
    evidence.prove(!blocked.exit && !other.exit, 'both pods are still up');
  });
}
