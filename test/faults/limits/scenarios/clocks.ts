// Pods whose wall clocks are an hour ahead and an hour behind: limits go by Redis's time, so nobody notices.

import { until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitOptions } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { goodput, proveNeverOver, proveNothingBurned } from '../judgement.ts';

const HOUR_MS = 3_600_000;

/** `careless`: the pod whose clock is ahead. */
export function shifted(careless: readonly Careless[] = []) {
  const terms = { limits: [{ concurrent: 3 }, { count: 20, per: '1s' as const }], latency: '100ms' };
  const fault = careless.length > 0 ? `clocks an hour off, ${careless}` : 'clocks an hour off';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, terms, async (arena, evidence) => {
      const seconds = options.short ? 5 : 20;
      await arena.add('alpha', 20 * (seconds + 40));
      const sends = async (label: string) => (await arena.arrivals()).some(({ pod }) => pod === label);
      await Promise.all([arena.startPod('behind', { shiftMs: -HOUR_MS }), arena.startPod('c'), arena.startPod('d')]);
      await until(
        'three send',
        30_000,
        async () => (await sends('behind')) && (await sends('c')) && (await sends('d')),
      );
      // Last, because one that is careless may take the state of all others for an hour old.
      await arena.startPod('ahead', { shiftMs: HOUR_MS, careless });
      await until('the one that is ahead sends', 30_000, () => sends('ahead'));
      const fromAt = arena.now();
      const untilAt = fromAt + seconds * 1_000;
      await until('a while has passed', seconds * 1_000 + 5_000, () => arena.now() > untilAt);
      const arrivals = await arena.arrivals();
      await proveNeverOver(arena, evidence, careless);
      if (careless.length > 0) return;
      evidence.goodput = goodput(arena, arrivals, fromAt, untilAt);
      evidence.promise(
        evidence.goodput > (options.short ? 0.1 : 0.5),
        `it used ${(evidence.goodput * 100).toFixed(1)} % of the allowance`,
      );
      proveNothingBurned(evidence, arrivals);
    });
}
