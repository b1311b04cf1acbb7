// Handlers that take their pod with them, every time: one blocks the loop for ever (the watchdog ends the pod after a minute),
// one kills its process. Pods are started again as a supervisor would. After the sixth loss the job is dead as `stalled`, and
// what worked beside it is done. Long form only: six deaths take minutes.

import { parseStacks, readStack } from '../../../src/path/stack.ts';
import { type Arena, type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { type Poison, poison, steady } from '../fleet/queues/lanes.ts';
import type { ArenaPod } from '../harness/pods.ts';
import { until } from '../harness/until.ts';

/** Six deaths: each a lock's 20 s, or half a watchdog's minute. */
const DEAD_MS = 300_000;

export function runBlocking(options: FaultOptions): Promise<Evidence> {
  return run('blocks its pods for ever', 'block-always', ['one', 'two'], options);
}

export function runKilling(options: FaultOptions): Promise<Evidence> {
  return run('kills its pod', 'kill', ['one'], options);
}

function run(fault: string, kind: Poison, labels: string[], options: FaultOptions): Promise<Evidence> {
  return inArena(fault, options, 60_000, async (arena, evidence) => {
    const { ledger, look, keys } = arena;
    const restarts = await keepUp(arena, labels);
    // Longer than the culprit takes to do its harm: whoever has them in hand beside it loses them each time.
    const bystanders = await ledger.addAll(steady, 6, { holdMs: 3_000 });
    const culprit = (await ledger.add(poison, { kind })) ?? '';
    const startedAt = arena.now();
    const base = `${keys.queuePrefix(poison)}:poison`;
    await until('the culprit is dead', DEAD_MS, async () => look.zscore(`${base}:failed`, culprit));
    const tookMs = arena.now() - startedAt;
    const [stacks, stalls] = await look.hmget(`${base}:${culprit}`, 'stacktrace', 'stc');
    const last = readStack(parseStacks(stacks ?? undefined).at(-1) ?? '');
    evidence.prove(
      last?.class === 'stalled',
      `it is dead as ${last?.class} after ${stalls} losses, ${seconds(tookMs)}`,
    );
    await until('what is beside it ends', 60_000, async () => {
      const ended = await Promise.all(
        bystanders.map(async (id) => {
          const lane = `${keys.queuePrefix(steady)}:steady`;
          return (await look.zscore(`${lane}:completed`, id)) ?? (await look.zscore(`${lane}:failed`, id));
        }),
      );
      return ended.every(Boolean);
    });
    const done = await look.zrange(`${keys.queuePrefix(steady)}:steady:completed`, '0', '-1');
    const saved = bystanders.filter((id) => done.includes(id)).length;
    // The second loss makes a job a suspect: it runs alone, and only the culprit goes on losing pods.
    evidence.prove(
      saved === bystanders.length,
      `whoever had the bad luck to run beside it is done (${saved} of ${bystanders.length})`,
    );
    const starts = () => new Set(arena.arrivals([culprit]).map(({ start }) => start)).size;
    await until('every pod it took is started again', 90_000, () => restarts.deaths() >= starts());
    evidence.prove(restarts.deaths() >= 5, `${restarts.deaths()} pods died of it and were started again`);
    const words = arena.pods.filter((pod) => pod.said('pod.blocked') > 0).length;
    if (kind === 'block-always') evidence.prove(words > 0, `${words} pods named what blocked them`);
    restarts.stop();
    await restarts.settled();
  });
}

/** Starts a pod again when it dies, until told to stop. */
async function keepUp(arena: Arena, labels: string[]) {
  let isOver = false;
  let deaths = 0;
  const starting = new Set<Promise<unknown>>();
  const watch = (pod: ArenaPod) => {
    void pod.exited.then(() => {
      if (isOver) return;
      deaths++;
      const start = arena.startPod(pod.label).then(watch, () => {});
      starting.add(start);
      void start.finally(() => starting.delete(start));
    });
  };
  arena.defer(() => {
    isOver = true;
  });
  for (const pod of await Promise.all(labels.map((label) => arena.startPod(label)))) watch(pod);
  return {
    deaths: () => deaths,
    stop() {
      isOver = true;
    },
    settled: () => Promise.all(starting),
  };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
