// SCRIPT FLUSH under load: nobody notices. FLUSHALL under load: what was promised is gone, and the reckoning must say so (its
// twin); pods go on with new work by themselves. The short form flushes the scripts fewer times.

import { type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { plain, steady } from '../fleet/queues/lanes.ts';
import { takeAccount } from '../harness/account.ts';
import { lasts, until } from '../harness/until.ts';

const PAUSE_MS = 200;
const SOON_MS = 10_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const flushes = options.short ? 10 : 50;
  return inArena('SCRIPT FLUSH, FLUSHALL', options, 30_000, async (arena, evidence) => {
    const { ledger, look, keys, random, guarded, bare } = arena;
    await Promise.all([arena.startPod('a'), arena.startPod('b')]);
    const load = ledger.load(10, () => ({ lane: random() < 0.5 ? steady : plain, work: { holdMs: random() * 200 } }));
    await until('a hundred have run', 20_000, () => arena.arrivals().length >= 100);
    for (let n = 0; n < flushes; n++) {
      await look.script('FLUSH');
      await ledger.addAll(random() < 0.5 ? steady : plain, 20, { holdMs: random() * 200 });
      await lasts(random() * PAUSE_MS);
    }
    // A command that timed out on a busy machine is another matter.
    const complaints = arena.pods.filter((pod) => pod.lastWords.includes('NOSCRIPT')).map((pod) => pod.lastWords);
    const refused = ledger.refusals.map(({ code, afterMs }) => `${code} after ${Math.round(afterMs)} ms`);
    evidence.prove(refused.length === 0, `${flushes} x SCRIPT FLUSH: no add was refused ${refused.join()}`.trim());
    evidence.prove(complaints.length === 0, `and no pod missed a script ${complaints.join()}`.trim());
    evidence.prove(
      arena.arrivals().every(({ start }) => start === 1),
      'and nothing ran twice',
    );

    await look.flushall();
    const flushedAt = arena.now();
    const account = await takeAccount({ redis: look, keys, ledger, guarded, bare });
    evidence.prove(account.lost.length > 0, `twin: after FLUSHALL the reckoning misses ${account.lost.length} jobs`);
    ledger.forget();
    const fresh = (await ledger.add(steady)) ?? '';
    await until('a new job runs', SOON_MS, () => arena.arrivals([fresh]).length > 0);
    evidence.longestRerunMs = null;
    evidence.prove(true, `after FLUSHALL a new job ran within ${Math.round(arena.now() - flushedAt)} ms`);
    await until('both pods take new jobs', SOON_MS, () => {
      const later = arena.arrivals().filter(({ at }) => at > flushedAt + 1_000);
      return new Set(later.map(({ pod }) => pod)).size === 2;
    });
    await load.stop();
    evidence.prove(
      arena.pods.every((pod) => !pod.exit),
      'no pod died of it',
    );
  });
}
