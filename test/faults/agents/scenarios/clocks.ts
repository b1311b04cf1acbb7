// Pods whose wall clocks are an hour ahead and an hour behind: windows go by Redis's time, so nobody notices.

import type { FaultOptions } from '../../arena.ts';
import { until } from '../../harness/until.ts';
import { AGENTS, type Careless, inAgentArena, judgeActs, proveNeverEarly } from '../arena.ts';
import type { AgentEvidence } from '../evidence.ts';

const HOUR_MS = 3_600_000;

/** `careless`: the pod whose clock is ahead. */
export function shifted(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `clocks an hour off, ${careless}` : 'clocks an hour off';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, { latency: '20ms' }, async (arena, evidence) => {
      await arena.add('alpha', 60);
      const behind = await arena.startPod('behind', { shiftMs: -HOUR_MS });
      const acts = async (label: string) => (await arena.arrivals()).filter(({ pod }) => pod === label).length;
      await until('it acts', 10_000, async () => (await acts('behind')) >= AGENTS.length);
      await arena.startPod('ahead', { shiftMs: HOUR_MS, careless });
      if (careless.length > 0) {
        await until('it acts', 10_000, async () => (await acts('ahead')) > 1);
        const early = await judgeActs(arena, evidence);
        evidence.prove(early > 0, `twin: with a pod that goes by its ${careless} ${early} acts were early`);
        return;
      }
      // Whoever lives on goes by what the other left behind.
      behind.signal('SIGTERM');
      await until('the one that is ahead acts', 10_000, async () => (await acts('ahead')) >= AGENTS.length);
      await arena.startPod('c');
      arena.pods[1]?.signal('SIGTERM');
      await proveNeverEarly(arena, evidence);
      evidence.prove((await acts('c')) > 0, 'one with the right time went on');
    });
}
