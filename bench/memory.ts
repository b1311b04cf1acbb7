// Does a pod's memory depend on how much waits? One process, busy with slow jobs all the time, looked at after a forced
// collection with 0, 10,000 and 100,000 jobs waiting. Waiting jobs live in Redis; a pod that held them would show it here.

import { once } from 'node:events';
import type { Bench } from './bench.ts';
import { interleave, withSpread } from './measure.ts';
import { preload } from './preload.ts';
import { pause, type Store } from './store.ts';
import { bullPrefix, startWorker } from './worker-process.ts';

const LEVELS = [0, 10_000, 100_000] as const;
const VARIANTS = ['raw', 'ours'] as const;
/** Room for a few turns of the 100 jobs of a second each. */
const SETTLE_MS = 3_000;
const MIB = 2 ** 20;

interface Memory {
  rss: number;
  heapUsed: number;
}

export const memory: Bench = {
  question: 'MiB of a pod that works through slow jobs while 0, 10,000 and 100,000 wait',
  rounds: 3,
  async run({ store, rounds, isQuick, say }) {
    const levels = isQuick ? LEVELS.slice(0, 2) : LEVELS;
    const results = await interleave(VARIANTS, rounds, async (variant, round) => {
      const found = await measure(store, variant, levels);
      say(`memory ${round + 1}/${rounds} ${variant}: ${found.map(({ rss }) => (rss / MIB).toFixed(1)).join(', ')} MiB`);
      return found;
    });
    const column = (variant: (typeof VARIANTS)[number], level: number, figure: keyof Memory) =>
      withSpread(
        results[variant].map((found) => found[level]![figure] / MIB),
        1,
      );
    return {
      head: ['', ...levels.flatMap((waiting) => [`heap, ${waiting} waiting`, `RSS, ${waiting} waiting`])],
      rows: VARIANTS.map((variant) => [
        variant,
        ...levels.flatMap((_, level) => [column(variant, level, 'heapUsed'), column(variant, level, 'rss')]),
      ]),
      notes: [
        `${rounds} rounds, one process each that lives through all levels; 100 jobs of 1 s run at any time, ${SETTLE_MS / 1_000} s before each look; --expose-gc, two collections first.`,
        'Heap is the figure to judge flatness by: RSS keeps what a process once needed.',
      ],
    };
  },
};

async function measure(store: Store, variant: 'raw' | 'ours', levels: readonly number[]): Promise<Memory[]> {
  const prefix = await store.fresh();
  const flags = ['--expose-gc'];
  const worker = await startWorker(variant, store, { prefix, mode: 'slow', flags });
  const wait = `${bullPrefix(variant, prefix)}:noop:wait`;
  const found: Memory[] = [];
  try {
    for (const level of levels) {
      // Enough beside them to keep all 100 busy while we look, at 100 jobs a second.
      const missing = level + (level === 0 ? 400 : 500) - (await store.redis.llen(wait));
      await preload(variant, store, prefix, missing);
      await pause(SETTLE_MS);
      const answer = once(worker.child, 'message');
      worker.child.send('memory');
      found.push((await answer)[0] as Memory);
    }
  } finally {
    worker.child.kill('SIGKILL'); // it would drain its slow jobs first
    await worker.stop();
  }
  return found;
}
