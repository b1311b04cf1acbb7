// A lock taken away under a running attempt: its settle must be refused, or the attempt aborted at its next renewal, and
// the job run again and settle once. A job that lost its lock once too often is dead as `stalled`: the last step of what
// the long form of doomed.ts takes minutes for. Short and long are the same.

import { MAX_STALLS } from '../../../src/store/lane-queue.ts';
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
    const base = `${keys.queuePrefix(steady)}:steady`;
    const pod = await arena.startPod('robbed');
    const settling = (await ledger.add(steady, { firstHoldMs: HOLDS.settling })) ?? '';
    const renewing = (await ledger.add(steady, { firstHoldMs: HOLDS.renewing })) ?? '';
    const worn = (await ledger.add(steady, { firstHoldMs: HOLDS.renewing })) ?? '';
    const jobs = [settling, renewing];
    await until('all run', 10_000, () => arena.arrivals([...jobs, worn]).length === 3);
    await look.hset(`${base}:${worn}`, 'stc', MAX_STALLS);
    await look.del(`${base}:${worn}:lock`);
    for (const id of jobs) {
      const was = await look.set(`${base}:${id}:lock`, 'thief', 'PX', THIEF_MS, 'XX', 'GET');
      if (!was?.startsWith(pod.name)) evidence.problems.push(`expected the lock of ${id} to be the pod's, got ${was}`);
    }
    const told = async (what: string, id: string) =>
      (await readJournal(look, [keys.journal('guarded')])).some((entry) => entry.what === what && entry.job === id);
    await until('the settle is refused', 10_000, () => told('settle.refused', settling));
    evidence.prove(true, 'the settle of the one was refused');
    await until('the other is aborted', 10_000, () => told('attempt.lost', renewing));
    evidence.prove(true, 'the other was aborted at its next renewal');
    await until('the worn one is dead', 15_000, () => look.zscore(`${base}:failed`, worn));
    const reason = await look.hget(`${base}:${worn}`, 'stacktrace');
    evidence.prove(reason?.includes('[stalled]') === true, `after ${MAX_STALLS + 1} losses a job is dead as stalled`);
    evidence.prove(arena.arrivals([worn]).length === 1, 'and is not run again');
    await until('both run again', 25_000, () =>
      jobs.every((id) => arena.arrivals([id]).some(({ start }) => start > 1)),
    );
  });
}
