// A pod stopped (SIGSTOP) for 40 s with work in hand, then continued. Meanwhile its locks ran out and another pod ran the work.
// Awake again it must send nothing more for it and settle none of it. Beside it runs a lane that goes round the engine: it
// must be caught, or the check proves nothing. The short form stops the pod only until everything has run again (about 22 s).

import { type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { deaf, reckless, steady } from '../fleet/queues/lanes.ts';
import { readJournal } from '../harness/account.ts';
import { lasts, until } from '../harness/until.ts';

const STOPPED_MS = 40_000;
const RERUN_MS = 25_000;
const STEPS = 5;
const ENDING = 30;
const STEP_MS = 1_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const each = options.short ? 6 : 40;
  const fault = `pod stopped ${options.short ? 'until its work ran again' : '40 s'}, continued`;
  return inArena(fault, options, 40_000, async (arena, evidence) => {
    const { ledger, keys } = arena;
    const sleeper = await arena.startPod('sleeper', { concurrency: 2 * each + ENDING });
    // Mid-way when it is stopped: each has requests still to send.
    const heedless = await ledger.addAll(deaf, each, { steps: STEPS, holdMs: STEP_MS });
    const past = await ledger.addAll(reckless, each, { steps: STEPS, holdMs: STEP_MS });
    await until('all are in flight', 20_000, () => arena.arrivals([...heedless, ...past]).length >= 2 * each);
    // Due while it is stopped: some may end the moment it wakes, before its clock is looked at, and try to settle late.
    // Which, is chance: the refusal itself is shown by the stolen lock.
    const ending: string[] = [];
    for (let n = 0; n < ENDING; n++) {
      ending.push((await ledger.add(steady, { firstHoldMs: 400 + arena.random() * 1_200 })) ?? '');
    }
    await until('the last are in flight', 20_000, () => arena.arrivals(ending).length >= ENDING);

    const stoppedAt = arena.now();
    sleeper.signal('SIGSTOP');
    const held = new Set(await arena.look.lrange(`${keys.queuePrefix(steady)}:steady:active`, 0, -1));
    const due = ending.filter((id) => held.has(id));
    const jobs = [...heedless, ...past, ...due];
    const rescuer = await arena.startPod('rescuer', { concurrency: 2 * each + ENDING });
    const second = () => {
      const first = new Map<string, number>();
      for (const { job, start, at } of arena.arrivals(jobs)) if (start > 1 && !first.has(job)) first.set(job, at);
      return first;
    };
    await until('all run again', RERUN_MS + 10_000, () => second().size === jobs.length);
    evidence.longestRerunMs = Math.max(...second().values()) - stoppedAt;
    evidence.prove(evidence.longestRerunMs <= RERUN_MS, `all ${jobs.length} ran again within 25 s of the stop`);
    if (!options.short) await lasts(stoppedAt + STOPPED_MS - arena.now());

    sleeper.signal('SIGCONT');
    const load = ledger.load(20, () => ({ lane: steady }));
    await until('the pod that woke works on', 15_000, () =>
      arena.arrivals().some(({ job, pod }) => pod === 'sleeper' && !jobs.includes(job)),
    );
    // What it still has to send, it would send within its remaining steps.
    await lasts((STEPS + 1) * STEP_MS);
    await load.stop();

    const againAt = second();
    const late = (ids: string[]) =>
      arena.arrivals(ids).filter(({ pod, job, at }) => pod === 'sleeper' && at > (againAt.get(job) ?? Infinity)).length;
    evidence.prove(late([...heedless, ...due]) === 0, 'after it woke it sent nothing for work that others had');
    evidence.prove(late(past) > 0, `twin: handlers that go round ctx.fetch did send (${late(past)} late requests)`);

    const journal = await readJournal(arena.look, [keys.journal('guarded'), keys.journal('bare')]);
    const own = journal.filter(({ who }) => who === sleeper.name);
    const told = new Set(own.filter(({ what }) => /attempt.lost|settle.refused/.test(what)).map(({ job }) => job));
    const refused = own.filter(({ what }) => what === 'settle.refused').length;
    evidence.prove(
      jobs.every((id) => told.has(id)),
      `each attempt it lost is in the journal: ${told.size - refused} cut off, ${refused} settles refused`,
    );
    evidence.prove(
      own.every(({ what, job }) => what !== 'attempt.finished' || !jobs.includes(String(job))),
      'it settled none of the work that others had',
    );
    evidence.prove(!sleeper.exit && !rescuer.exit, 'both pods are still up');
    evidence.prove(doubledSteps(arena.bare.effects) > 0, 'twin: at the upstream without keys effects were doubled');
  });
}

function doubledSteps(effects: readonly { jobId: string | null; path: string }[]): number {
  return effects.length - new Set(effects.map(({ jobId, path }) => `${jobId} ${path}`)).size;
}
