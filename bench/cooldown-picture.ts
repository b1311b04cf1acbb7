// A picture of agents over time, ours above what people do today: cooldown.svg.

import type { Bench } from './bench.ts';
import { findWindows, isRefused } from './cooldown-figures.ts';
import { AGENTS, type Case, type Way } from './cooldown-fleet.ts';
import { record } from './cooldown-run.ts';
import { drawGantt, type GanttPanel } from './gantt.ts';
import type { Store } from './store.ts';

const GIVEN: Case = { cooldownMs: 500, backlog: 100 };
const SPAN = { warmMs: 3_000, forMs: 6_000 };
const DRAWN = AGENTS.slice(0, 12);
const SIDES: readonly { way: Way; name: string }[] = [
  { way: 'ours', name: 'Lanekeeper: the window is claimed, then the job' },
  { way: 'random agent, retrying on 429', name: 'BullMQ, a random agent for each job, coming again after a 429' },
];

export const cooldownPicture: Bench = {
  question: `what ${DRAWN.length} of ${AGENTS.length} agents do in ${SPAN.forMs / 1_000} s: acts, windows that stand open, refused acts`,
  rounds: 1,
  async run({ store, say }) {
    const panels: GanttPanel[] = [];
    for (const { way, name } of SIDES) {
      const panel = await watchAgents(store, way);
      panels.push({ ...panel, title: `${name}: ${panel.acts.length} acts, ${panel.refused.length} refused` });
      say(panels.at(-1)?.title ?? '');
    }
    const openMs = ({ open }: GanttPanel) => open.reduce((sum, { fromMs, untilMs }) => sum + untilMs - fromMs, 0);
    return {
      head: ['', 'acts', 'refused (429)', 'time that windows stood open, %'],
      rows: panels.map((panel, index) => [
        SIDES[index]?.name ?? '',
        String(panel.acts.length),
        String(panel.refused.length),
        ((openMs(panel) * 100) / (SPAN.forMs * DRAWN.length)).toFixed(1),
      ]),
      notes: [
        `Cooldown ${GIVEN.cooldownMs} ms, ${GIVEN.backlog} jobs waiting; otherwise as above. Picture: cooldown.svg.`,
      ],
      files: { 'cooldown.svg': drawGantt(panels, DRAWN, SPAN.forMs) },
    };
  },
};

async function watchAgents(store: Store, way: Way): Promise<Omit<GanttPanel, 'title'>> {
  const { fleet, acts, fromAt, untilAt } = await record(store, way, GIVEN, SPAN);
  await fleet.stop();
  const toBar = (agent: string | null, startAt: number, endAt: number) => ({
    row: DRAWN.indexOf(agent ?? ''),
    fromMs: Math.max(startAt, fromAt) - fromAt,
    untilMs: Math.min(endAt, untilAt) - fromAt,
  });
  const isDrawn = ({ row, fromMs, untilMs }: ReturnType<typeof toBar>) => row >= 0 && untilMs > fromMs;
  const passed = acts.filter((act) => !isRefused(act));
  return {
    acts: passed.map(({ agent, at, endedAt }) => toBar(agent, at, endedAt)).filter(isDrawn),
    refused: acts
      .filter(isRefused)
      .map(({ agent, at }) => toBar(agent, at, at + 1))
      .filter(isDrawn),
    open: findWindows(acts, GIVEN.cooldownMs)
      .map(({ agent, opensAt, usedAt }) => toBar(agent, opensAt, usedAt))
      .filter(isDrawn),
  };
}
