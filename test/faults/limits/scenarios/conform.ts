// Four pods with more work than the limit allows: never over, nothing burned, and how much of the allowance was used.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitOptions, type LimitTerms, type Work } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { goodput, proveNeverOver, proveNothingBurned } from '../judgement.ts';
import { toMs } from '../upstream-process.ts';

export interface Load extends LimitTerms {
  /** Requests a second that the limit allows. */
  rate: number;
  lanes?: 1 | 2;
  work?: Work;
  careless?: readonly Careless[];
  /** Of the long form, when it must see more than 20 s. */
  forMs?: number;
}

export const LOADS = {
  '3 at once': { limits: [{ concurrent: 3 }], latency: '100ms', rate: 30 },
  '50 at once': { limits: [{ concurrent: 50 }], latency: '100ms', rate: 500 },
  '20 a second': { limits: [{ count: 20, per: '1s' }], latency: '20ms', rate: 20 },
  '200 a second': { limits: [{ count: 200, per: '1s' }], latency: '20ms', rate: 200 },
  '1,000 a second': { limits: [{ count: 1_000, per: '1s' }], latency: '20ms', rate: 1_000 },
  '10 at once, 200 a second': {
    limits: [{ concurrent: 10 }, { count: 200, per: '1s' }],
    latency: '50ms',
    rate: 200,
  },
  '5 a second, 30 in 10 s': {
    limits: [
      { count: 5, per: '1s' },
      { count: 30, per: '10s' },
    ],
    latency: '20ms',
    rate: 3,
    forMs: 40_000,
  },
  'two lanes, 3 at once, 20 a second': {
    limits: [{ concurrent: 3 }, { count: 20, per: '1s' }],
    latency: '50ms',
    rate: 20,
    lanes: 2,
  },
  '20 a second, handlers that dawdle': {
    limits: [{ count: 20, per: '1s' }],
    latency: '20ms',
    rate: 20,
    work: { dawdleMs: 1_500 },
  },
  'several requests a job, 3 at once, 20 a second': {
    limits: [{ concurrent: 3 }, { count: 20, per: '1s' }],
    latency: '50ms',
    rate: 20,
    work: { steps: 4, holdMs: 10 },
  },
} as const satisfies Record<string, Load>;

export function conform(name: keyof typeof LOADS, careless: readonly Careless[] = []) {
  const load: Load = LOADS[name];
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(careless.length > 0 ? `${name}, ${careless}` : name, options, load, async (arena, evidence) => {
      const { rate, lanes = 1, work = {} } = load;
      const steps = work.steps ?? 1;
      const forMs = options.short ? 4_000 : (load.forMs ?? 20_000);
      const longestMs = Math.max(1_000, ...load.limits.map((limit) => ('per' in limit ? toMs(limit.per) : 0)));
      const warmMs = options.short ? Math.min(longestMs, 1_000) : longestMs;
      const jobs = Math.ceil(((rate * (forMs + warmMs)) / 1_000 + rate * 2 + 60) / steps / lanes);
      await arena.add('alpha', jobs, work);
      if (lanes === 2) await arena.add('beta', jobs, work);
      await arena.startFour({ ...(lanes === 1 ? { lanes: ['alpha'] } : {}), careless });
      const first = await until('something arrives', 30_000, async () => (await arena.arrivals())[0]);
      const fromAt = first.at + warmMs;
      await lasts(fromAt + forMs - arena.now());
      const arrivals = await arena.arrivals();
      await proveNeverOver(arena, evidence, careless);
      if (careless.length > 0) return;
      evidence.goodput = goodput(arena, arrivals, fromAt, fromAt + forMs);
      // Whatever else this machine does: standing still would be seen. The figure itself is the bench's to judge.
      // A permit that is old when it is needed was taken in vain. The short form runs beside other tests: what it used of the
      // allowance says more about them.
      const least = options.short ? 0.1 : work.dawdleMs ? 0.3 : 0.5;
      evidence.promise(evidence.goodput > least, `it used ${(evidence.goodput * 100).toFixed(1)} % of the allowance`);
      if (steps === 1) proveNothingBurned(evidence, arrivals);
    });
}
