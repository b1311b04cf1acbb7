// Handlers that throw what is no error, never resolve, return what cannot be stored, leave a rejection behind. Each such job
// ends, in the way the table says; the pod stays up, its slots come back, and good jobs beside them are done. Short: one of
// each kind; long: six, more than the lane's slots would survive if each kept one.

import { parseStacks, readStack } from '../../../src/path/stack.ts';
import { type Arena, type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { type Poison, plain, poison, steady } from '../fleet/queues/lanes.ts';
import { until } from '../harness/until.ts';

/** Two attempts of 2 s, a backoff, and room. */
const END_MS = 20_000;

/** Done, or the class it is dead of. Where two stand, either will do: what counts is that it ends. */
const ENDS: Partial<Record<Poison, string>> = {
  'throw-string': 'transient',
  'throw-null': 'transient',
  'throw-bare-object': 'transient',
  'throw-hostile-getter': 'transient',
  'throw-hostile-stack': 'transient or fatal',
  never: 'timeout',
  bigint: 'fatal',
  circular: 'fatal',
  huge: 'fatal',
  fickle: 'done or fatal',
  function: 'done',
  stray: 'done',
};

export function run(options: FaultOptions): Promise<Evidence> {
  const each = options.short ? 1 : 6;
  return inArena(`poisoned handlers, ${each} of each`, options, 10_000, async (arena, evidence) => {
    const { ledger, random } = arena;
    const pod = await arena.startPod('poisoned', { concurrency: 40 });
    const load = ledger.load(40, () => ({ lane: random() < 0.5 ? steady : plain, work: { holdMs: random() * 100 } }));
    const kinds = Object.keys(ENDS) as Poison[];
    const added: { kind: Poison; id: string }[] = [];
    for (const kind of shuffle(Array.from({ length: each }, () => kinds).flat(), random)) {
      added.push({ kind, id: (await ledger.add(poison, { kind })) ?? '' });
    }
    const ends = new Map<string, string>();
    await until('all poison ends', END_MS, async () => {
      for (const { id } of added) if (!ends.has(id)) await note(arena, id, ends);
      return ends.size === added.length;
    }).catch(() => {});
    for (const kind of kinds) {
      const got = new Set(added.filter((one) => one.kind === kind).map(({ id }) => ends.get(id) ?? 'no end'));
      const allowed = ENDS[kind]?.split(' or ') ?? [];
      evidence.prove(
        [...got].every((end) => allowed.includes(end)),
        `${kind} ends as ${ENDS[kind]} (${[...got].join(', ')})`,
      );
    }
    evidence.prove(!pod.exit, `the pod is still up, and told ${pod.said('handler.strayRejection')} stray rejections`);
    const last = (await ledger.add(poison, { kind: 'stray' })) ?? '';
    await until('the lane still has slots', 10_000, async () => {
      await note(arena, last, ends);
      return ends.get(last) === 'done';
    });
    await load.stop();
  });
}

/** Writes down how a job ended: done, or the class it is dead of. */
async function note({ look, keys }: Arena, id: string, ends: Map<string, string>): Promise<void> {
  const base = `${keys.queuePrefix(poison)}:poison`;
  if (await look.zscore(`${base}:completed`, id)) ends.set(id, 'done');
  if (!(await look.zscore(`${base}:failed`, id))) return;
  const stacks = parseStacks((await look.hget(`${base}:${id}`, 'stacktrace')) ?? undefined);
  ends.set(id, readStack(stacks.at(-1) ?? '')?.class ?? 'dead without a class');
}

function shuffle<T>(list: T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
