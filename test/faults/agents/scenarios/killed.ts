// `kill -9` of a pod that acts as every agent: before it sent anything, with requests on the wire, and with answers that it did not
// settle. The others take over, and no agent comes before a whole cooldown has passed. Short and long are the same.

import type { FaultOptions } from '../../arena.ts';
import { until } from '../../harness/until.ts';
import { AGENTS, type Careless, inAgentArena, judgeActs, proveNeverEarly, type Terms, type Work } from '../arena.ts';
import type { AgentEvidence } from '../evidence.ts';

const WHERE = {
  /** Claimed, and nothing sent. */
  before: { latency: '20ms', work: { dawdle: 'before' } },
  /** A cooldown longer than a request may be on its way: the end of that is not known, so another counts from the latest it can be. */
  onTheWire: { latency: '60s', work: {}, cooldownMs: 18_000 },
  /** Answered, and not settled: nobody knows, and a shorter cooldown would be over before anybody else has the agent. */
  after: { latency: '20ms', work: { dawdle: 'after' }, cooldownMs: 18_000 },
} satisfies Record<string, Terms & { work: Work }>;

/** `careless`: every pod. */
export function killed(where: keyof typeof WHERE, careless: readonly Careless[] = []) {
  const { work, ...terms } = WHERE[where];
  const fault = careless.length > 0 ? `killed, ${where}, ${careless}` : `killed, ${where}`;
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, terms, async (arena, evidence) => {
      const victim = await arena.startPod('victim', { careless });
      const first = new Set(await arena.addToEach('alpha', work));
      await until('the victim has every agent', 20_000, async () => (await arena.actingCount()) === AGENTS.length);
      if (where !== 'before')
        await until('all have sent', 20_000, async () => (await arena.arrivals()).length === AGENTS.length);
      if (where === 'after')
        await until('all have their answer', 20_000, async () =>
          (await arena.arrivals()).every(({ endedAt }) => endedAt < Number.POSITIVE_INFINITY),
        );
      await Promise.all([arena.startPod('b', { careless }), arena.startPod('c', { careless })]);
      // Its own jobs come back when their locks run out; these wait for the agents alone.
      await arena.add('beta', where === 'before' ? AGENTS.length : 2);
      await arena.upstream.configure({ latency: '20ms' });
      const killedAt = arena.now();
      victim.signal('SIGKILL');
      const others = async () => (await arena.arrivals()).filter(({ pod }) => pod !== 'victim');
      if (careless.includes('patient')) {
        const came = await until('somebody acts', 5_000, async () => (await others()).length > 0).catch(() => false);
        evidence.prove(!came, `twin: with pods that are ${careless} nobody acted within 5 s`);
        return;
      }
      await until('others act', 40_000, async () => (await others()).length > 0);
      const firstMs = ((await others())[0]?.at ?? Number.NaN) - killedAt;
      evidence.figures.push(`others act after ${(firstMs / 1_000).toFixed(2)} s`);
      if (careless.length > 0) {
        const early = await judgeActs(arena, evidence);
        evidence.prove(early > 0, `twin: with pods that are ${careless} ${early} acts were early`);
        return;
      }
      await proveNeverEarly(arena, evidence);
      if (where === 'before') {
        const again = (await others()).filter(({ job }) => first.has(job));
        evidence.prove(again.length === first.size, `its ${again.length} jobs ran once each elsewhere`);
      }
    });
}
