// A pod stopped (SIGSTOP) for 30 s with every agent in hand, some before their first request and some between two, then continued.
// Others have the agents by then; awake again it sends nothing for what it had begun. Short and long are the same.

import type { FaultOptions } from '../../arena.ts';
import { lasts, until } from '../../harness/until.ts';
import { AGENTS, type Careless, inAgentArena, judgeActs, proveNeverEarly } from '../arena.ts';
import type { AgentEvidence } from '../evidence.ts';

const STOPPED_MS = 30_000;
/** It dawdles for so long, and falls asleep meanwhile. */
const DAWDLE_MS = 3_000;

/** `careless`: the one that is stopped. */
export function stopped(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `stopped for 30 s, ${careless}` : 'stopped for 30 s';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, { latency: '20ms' }, async (arena, evidence) => {
      const victim = await arena.startPod('victim', { careless });
      const half = AGENTS.length / 2;
      const begun = new Set([
        ...(await arena.add('alpha', half, { dawdle: 'before', forMs: DAWDLE_MS })),
        ...(await arena.add('beta', half, { dawdle: 'between', steps: 2, forMs: DAWDLE_MS })),
      ]);
      const sent = async () => (await arena.arrivals()).filter(({ job }) => begun.has(job));
      await until('it has begun', 20_000, async () => (await arena.actingCount()) > half && (await sent()).length > 0);
      await Promise.all([arena.startPod('b'), arena.startPod('c')]);
      victim.signal('SIGSTOP');
      const stoppedAt = arena.now();
      const ofVictim = async () => (await arena.arrivals()).filter(({ pod }) => pod === 'victim').length;
      const before = await ofVictim();
      // The others go on acting as those agents.
      const load = setInterval(() => void arena.add('alpha', AGENTS.length / 2).catch(() => {}), 1_000);
      await lasts(stoppedAt + STOPPED_MS - arena.now());
      victim.signal('SIGCONT');
      const wokenAt = arena.now();
      await lasts(DAWDLE_MS + 1_000);
      clearInterval(load);
      const stale = (await sent()).filter(({ pod, start, at }) => pod === 'victim' && start === 1 && at > wokenAt);
      if (careless.length > 0) {
        const early = await judgeActs(arena, evidence);
        evidence.prove(
          early > 0,
          `twin: a pod that was ${careless} sent ${stale.length} stale requests, ${early} early`,
        );
        return;
      }
      evidence.prove(stale.length === 0, `awake again it sent ${stale.length} requests for what it had begun`);
      evidence.prove(!victim.exit, 'it is still up');
      evidence.figures.push(`it had sent ${before}`);
      await proveNeverEarly(arena, evidence);
    });
}
