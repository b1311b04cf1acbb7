// SIGTERM under load. What listens to its signal and what does not: at the deadline both are cut off and back in their line,
// no attempt used, and another pod starts them within 2 s. A second SIGTERM does not wait for the deadline. The short form
// has fewer jobs, nothing else is left out.

import { type Arena, type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { deaf, plain, steady } from '../fleet/queues/lanes.ts';
import type { ArenaPod } from '../harness/pods.ts';
import { until } from '../harness/until.ts';

const DRAIN_MS = 2_000;
/** For what was cut off to be put back, and for a process to end. */
const LEAVE_MS = 3_000;
const START_MS = 2_000;
/** Longer than both pods take to leave, and then over. */
const LONG_MS = 15_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const each = options.short ? 10 : 60;
  return inArena(`SIGTERM, ${2 * each} in flight`, options, 30_000, async (arena, evidence) => {
    const { ledger, random } = arena;
    const [first, second, stays] = await Promise.all([
      arena.startPod('first', { concurrency: 2 * each, drain: `${DRAIN_MS}ms` }),
      // A deadline that this run would never see.
      arena.startPod('second', { concurrency: 2 * each, drain: '10m' }),
      arena.startPod('stays', { concurrency: 6 * each }),
    ]);
    const load = ledger.load(options.short ? 40 : 15, () => ({
      lane: random() < 0.5 ? steady : plain,
      work: { holdMs: random() * 150 },
    }));
    await fill(arena, each * 6, ['first', 'second', 'stays']);

    const held = heldBy(arena, 'first');
    const termAt = arena.now();
    first.signal('SIGTERM');
    const gone = await first.exited;
    evidence.prove(gone.code === 0, `the drained pod left with ${gone.code ?? gone.signal}`);
    const tookMs = gone.at - termAt;
    evidence.prove(
      tookMs >= DRAIN_MS && tookMs <= DRAIN_MS + LEAVE_MS,
      `it left at its deadline of ${DRAIN_MS} ms, although handlers ignored their signal (${Math.round(tookMs)} ms)`,
    );
    await proveHandedOn(arena, evidence, first, held, 'drained');

    const heldToo = heldBy(arena, 'second');
    second.signal('SIGTERM');
    await until('the second pod says that it drains', 5_000, () => isDraining(arena, second));
    const forcedAt = arena.now();
    second.signal('SIGTERM');
    const forced = await second.exited;
    evidence.prove(
      forced.code === 0 && forced.at - forcedAt <= LEAVE_MS,
      `a second SIGTERM forced the other one (${Math.round(forced.at - forcedAt)} ms)`,
    );
    await proveHandedOn(arena, evidence, second, heldToo, 'forced');
    await load.stop();
    evidence.prove(!stays.exit, 'the third pod is still up');
  });
}

/** Long work in every pod: as many as needed until each of them holds some. */
async function fill(arena: Arena, count: number, labels: string[]): Promise<void> {
  const work = { firstHoldMs: LONG_MS };
  const ids = [
    ...(await arena.ledger.addAll(deaf, count / 2, work)),
    ...(await arena.ledger.addAll(steady, count / 2, work)),
  ];
  await until('all are in flight', 20_000, () => arena.arrivals(ids).length >= count);
  await until('each pod holds some', 1_000, () =>
    labels.every((label) => arena.arrivals(ids).some(({ pod }) => pod === label)),
  );
}

/** The long jobs a pod has in hand: started by it, and by nobody after. */
function heldBy(arena: Arena, label: string): string[] {
  const last = new Map(arena.arrivals().map(({ job, pod }) => [job, pod]));
  const open = arena.ledger.accepted;
  return [...last].filter(([job, pod]) => pod === label && open.get(job) !== 'plain').map(([job]) => job);
}

async function isDraining({ look, keys }: Arena, { name }: ArenaPod): Promise<boolean> {
  return JSON.parse((await look.hget(keys.pods(), name)) ?? '{}').state === 'draining';
}

async function proveHandedOn(
  arena: Arena,
  evidence: Evidence,
  left: ArenaPod,
  candidates: string[],
  how: string,
): Promise<void> {
  const goneAt = left.exit?.at ?? 0;
  const after = () => arena.arrivals(candidates).filter(({ start, pod }) => start > 1 && pod !== left.label);
  // Short ones among them were simply finished: what was returned says the journal, by never having been settled here.
  const active = await arena.look.lrange(`${arena.keys.queuePrefix(deaf)}:deaf:active`, 0, -1);
  const owners = await Promise.all(
    active.map((id) => arena.look.hget(`${arena.keys.queuePrefix(deaf)}:deaf:${id}`, 'pb')),
  );
  evidence.prove(!owners.includes(left.name), `${how}: no job is left active in its name`);
  const returned = candidates.filter((id) => arena.ledger.accepted.get(id) === 'deaf');
  await until(`${how}: what it held runs elsewhere`, 30_000, () =>
    returned.every((id) => after().some(({ job }) => job === id)),
  );
  const delayMs = Math.max(...after().map(({ at }) => at)) - goneAt;
  evidence.longestRerunMs = Math.max(evidence.longestRerunMs ?? 0, delayMs);
  evidence.prove(returned.length > 0 && delayMs <= START_MS, `${how}: ${returned.length} ran elsewhere within 2 s`);
  evidence.prove(
    after().every(({ attempt }) => attempt === 1),
    `${how}: no attempt was used`,
  );
}
