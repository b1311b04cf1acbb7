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
const LONG_MS = 22_000;

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
    const long = await fill(arena, each * 6, [first, second, stays]);

    const held = await heldBy(arena, first, long);
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

    const heldToo = await heldBy(arena, second, long);
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

/** Long work in every pod, of both kinds. */
async function fill(arena: Arena, count: number, pods: ArenaPod[]): Promise<string[]> {
  const work = { firstHoldMs: LONG_MS };
  const ids = [
    ...(await arena.ledger.addAll(deaf, count / 2, work)),
    ...(await arena.ledger.addAll(steady, count / 2, work)),
  ];
  await until('each pod holds some', 20_000, () =>
    pods.every(({ label }) => arena.arrivals(ids).some(({ pod }) => pod === label)),
  );
  return ids;
}

/** Which of these jobs are active in a pod's name. */
async function heldBy({ look, keys }: Arena, pod: ArenaPod, jobs: string[]): Promise<string[]> {
  const held: string[] = [];
  for (const lane of [deaf, steady]) {
    const base = `${keys.queuePrefix(lane)}:${lane.name}`;
    const active = await look.lrange(`${base}:active`, 0, -1);
    const owners = await Promise.all(active.map((id) => look.hget(`${base}:${id}`, 'pb')));
    held.push(...active.filter((id, index) => owners[index] === pod.name && jobs.includes(id)));
  }
  return held;
}

async function isDraining({ look, keys }: Arena, { name }: ArenaPod): Promise<boolean> {
  return JSON.parse((await look.hget(keys.pods(), name)) ?? '{}').state === 'draining';
}

async function proveHandedOn(
  arena: Arena,
  evidence: Evidence,
  left: ArenaPod,
  held: string[],
  how: string,
): Promise<void> {
  const goneAt = left.exit?.at ?? 0;
  const still = await heldBy(arena, left, held);
  evidence.prove(still.length === 0, `${how}: none of the ${held.length} it held is left active in its name`);
  const after = () => arena.arrivals(held).filter(({ start, pod }) => start > 1 && pod !== left.label);
  await until(`${how}: what it held runs elsewhere`, 30_000, () => {
    const ran = new Set(after().map(({ job }) => job));
    return held.every((id) => ran.has(id));
  });
  const delayMs = Math.max(...after().map(({ at }) => at)) - goneAt;
  evidence.longestRerunMs = Math.max(evidence.longestRerunMs ?? 0, delayMs);
  evidence.prove(held.length > 0 && delayMs <= START_MS, `${how}: all of it ran elsewhere within 2 s of its exit`);
  evidence.prove(
    after().every(({ attempt }) => attempt === 1),
    `${how}: no attempt was used`,
  );
}
