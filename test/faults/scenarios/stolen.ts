// A lock taken away under a running attempt: its settle must be refused, and the job run again and settle once. And the
// producer's side of being away: nothing. Short and long are the same.

import { type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { steady } from '../fleet/queues/lanes.ts';
import { readJournal } from '../harness/account.ts';
import { until } from '../harness/until.ts';

/** Shorter than a renewal's period, so that the settle is the first to hear of it; and longer than that. */
const HOLDS = { settling: 2_000, renewing: 12_000 };
const THIEF_MS = 10_000;

export function run(options: FaultOptions): Promise<Evidence> {
  return inArena('lock stolen', options, 30_000, async (arena, evidence) => {
    const { ledger, look, keys } = arena;
    const pod = await arena.startPod('robbed');
    const settling = (await ledger.add(steady, { firstHoldMs: HOLDS.settling })) ?? '';
    const renewing = (await ledger.add(steady, { firstHoldMs: HOLDS.renewing })) ?? '';
    const jobs = [settling, renewing];
    await until('both run', 10_000, () => arena.arrivals(jobs).length === 2);
    for (const id of jobs) {
      const lock = `${keys.queuePrefix(steady)}:steady:${id}:lock`;
      const was = await look.set(lock, 'thief', 'PX', THIEF_MS, 'XX', 'GET');
      if (!was?.startsWith(pod.name)) evidence.problems.push(`expected the lock of ${id} to be the pod's, got ${was}`);
    }
    const told = async (what: string, id: string) =>
      (await readJournal(look, [keys.journal('guarded')])).some((entry) => entry.what === what && entry.job === id);
    await until('the settle is refused', 10_000, () => told('settle.refused', settling));
    evidence.prove(true, 'the settle of the one was refused');
    await until('the other is aborted', 10_000, () => told('attempt.lost', renewing));
    evidence.prove(true, 'the other was aborted at its next renewal');
    await until('both run again', 25_000, () =>
      jobs.every((id) => arena.arrivals([id]).some(({ start }) => start > 1)),
    );
  });
}
