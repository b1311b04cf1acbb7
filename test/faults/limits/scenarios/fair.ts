// Two lanes that share one limit. One has 10,000 waiting, the other one job a second: that one waits for three answers at most.
// Both full: each gets its share, by weight.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitArena, type LimitOptions, type LimitTerms } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { proveNeverOver } from '../judgement.ts';

const ANSWER_MS = 100;
const AT_ONCE: LimitTerms = { limits: [{ concurrent: 3 }], latency: `${ANSWER_MS}ms` };
const PER_SECOND: LimitTerms = { limits: [{ count: 40, per: '1s' }], latency: '20ms' };

export function guest(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `one a second beside 10,000, ${careless}` : 'one a second beside 10,000';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, AT_ONCE, async (arena, evidence) => {
      const samples = options.short ? 15 : 60;
      await arena.add('alpha', 10_000);
      await startBoth(arena, careless);
      const addedAt = new Map<string, number>();
      for (let n = 0; n < samples; n++) {
        const at = arena.now();
        for (const id of await arena.add('beta', 1)) addedAt.set(id, at);
        await lasts(1_000);
      }
      const waits = async () =>
        (await arena.arrivals()).flatMap(({ job, at }) => (addedAt.has(job) ? [at - (addedAt.get(job) ?? 0)] : []));
      await until('every one has arrived', 5_000, async () => (await waits()).length === samples).catch(() => {});
      const sorted = (await waits()).sort((a, b) => a - b);
      // Of sixty the 99th percentile is the longest; what never came waits for ever.
      const longest = sorted.length === samples ? (sorted.at(-1) ?? 0) : Number.POSITIVE_INFINITY;
      const text = `p50 ${Math.round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)} ms, longest ${Math.round(longest)} ms`;
      if (careless.length > 0) {
        evidence.promise(longest > 3 * ANSWER_MS, `twin: with pods that are ${careless} it waited longer: ${text}`);
        return;
      }
      evidence.promise(longest <= 3 * ANSWER_MS, `the lane with one job a second waited 3 answers at most: ${text}`);
      evidence.figures.push(text);
      await proveNeverOver(arena, evidence);
    });
}

export interface Shares {
  by: 'at once' | 'a second';
  /** Of alpha; beta's is 1. */
  weight: number;
}

export function shares({ by, weight }: Shares, careless: readonly Careless[] = []) {
  const terms = { ...(by === 'at once' ? AT_ONCE : PER_SECOND), weights: { alpha: weight } };
  const name = `shares ${weight}:1 of a limit ${by}`;
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(careless.length > 0 ? `${name}, ${careless}` : name, options, terms, async (arena, evidence) => {
      const forMs = options.short ? 20_000 : 60_000;
      // Ten times more waits in the one than in the other: what counts is that there is work.
      await arena.add('alpha', 4_000);
      await arena.add('beta', 40_000 / 10);
      await startBoth(arena, careless);
      const fromAt = arena.now();
      await lasts(forMs);
      const within = (await arena.arrivals()).filter(({ at }) => at >= fromAt && at < fromAt + forMs);
      const share = within.filter(({ lane }) => lane === 'alpha').length / within.length;
      const off = Math.max(share / (weight / (weight + 1)), (1 - share) / (1 / (weight + 1))) - 1;
      const text = `${(share * 100).toFixed(1)} % of ${within.length}`;
      if (careless.length > 0) {
        evidence.promise(off > 0.1, `twin: with pods that are ${careless} alpha got ${text}`);
        return;
      }
      evidence.promise(off <= 0.1, `alpha got ${text}: within 10 % of its weight`);
      evidence.figures.push(text);
      await proveNeverOver(arena, evidence);
    });
}

async function startBoth(arena: LimitArena, careless: readonly Careless[]): Promise<void> {
  await arena.startFour({ careless });
  const first = await until('something arrives', 30_000, async () => (await arena.arrivals())[0]);
  // Every pod is up, and has asked.
  await lasts(first.at + 1_000 - arena.now());
}
