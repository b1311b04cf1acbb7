// A pod is killed in the middle of its work: when do the windows that it looked after open again, and when is the work done that it
// had claimed and not sent?

import type { ChildProcess } from 'node:child_process';
import { createKeys } from '../src/words/keys.ts';
import type { Bench } from './bench.ts';
import { findWindows } from './cooldown-figures.ts';
import { AGENTS, type CooldownFleet, startCooldownFleet, TOP } from './cooldown-fleet.ts';
import { waitFor } from './limited-fleet.ts';
import { withSpread } from './measure.ts';
import { pause, type Store } from './store.ts';

const GIVEN = { cooldownMs: 500, backlog: 2_000 };
const WARM_MS = 2_000;
/** Windows that open so soon after the kill; later ones were not the dead pod's. */
const ORPHANED_MS = 1_000;
/** Longer than it takes to find it dead. */
const DAWDLE_MS = 2_500;

interface Figures {
  orphanMs: number;
  windows: number;
  unsentMs: number;
  unsent: number;
  early: number;
}

export const cooldownKilled: Bench = {
  question: 'ms until the windows of a killed pod are used again, and until its unsent work is sent',
  rounds: 9,
  async run({ store, rounds, isQuick, say }) {
    const all: Figures[] = [];
    for (let round = 0; round < rounds; round++) {
      const figures = await measure(store);
      all.push(figures);
      say(`killed ${round + 1}/${rounds}: ${JSON.stringify(figures)}`);
    }
    const of = (figure: keyof Figures) => withSpread(all.map((figures) => figures[figure]));
    return {
      head: ['', 'latest window, ms late', 'windows looked at', 'latest unsent job, ms', 'unsent jobs', 'early acts'],
      rows: [['ours', of('orphanMs'), of('windows'), of('unsentMs'), of('unsent'), of('early')]],
      notes: [
        ...(isQuick ? ['A SHORT RUN, to see that it works.'] : []),
        `${rounds} rounds; kill -9 of one of four pods that has claimed a job and sent nothing of it yet (a job that dawdles), 32 agents, cooldown 500 ms, 2,000 waiting.`,
        `Window: from its opening to its use, the latest of all that opened within ${ORPHANED_MS} ms after the kill, whoever looked after them; those of agents that the dead pod held at that time are not among them.`,
        'Unsent: from the kill to its arrival at the upstream.',
      ],
    };
  },
};

async function measure(store: Store): Promise<Figures> {
  const fleet = await startCooldownFleet(store, 'ours', GIVEN);
  try {
    await fleet.addMany(
      Array.from({ length: GIVEN.backlog }, (_, n) => ({
        agent: n % 2 === 0 ? AGENTS[(n / 2) % AGENTS.length] : undefined,
        priority: 1 + (n % 10),
      })),
    );
    await pause(WARM_MS);
    let dawdler: { child: ChildProcess; agent: string } | undefined;
    for (const { child } of fleet.pods) {
      child.once('message', ({ dawdles: agent }: { dawdles: string }) => {
        dawdler = { child, agent };
      });
    }
    await fleet.add({ priority: TOP, dawdleMs: DAWDLE_MS });
    const { child, agent } = await waitFor('a pod claims the job that dawdles', 10_000, async () => dawdler);
    await pause(100);
    const killedAt = fleet.now();
    child.kill('SIGKILL');
    const held = await readHeldWith(agent, store, fleet);
    const unsent = held.filter(({ wasSent }) => !wasSent);
    const arrivedAt = (job: string) =>
      waitFor('unsent work is sent', 20_000, async () => {
        const act = (await fleet.acts()).find((each) => each.job === job);
        return act?.at;
      });
    const sentAt = await Promise.all(unsent.map(({ job }) => arrivedAt(job)));
    await pause(killedAt + ORPHANED_MS * 2 - fleet.now());
    const taken = new Set(held.map((each) => each.agent));
    const windows = findWindows(await fleet.acts(), GIVEN.cooldownMs).filter(
      (window) => window.opensAt >= killedAt && window.opensAt < killedAt + ORPHANED_MS && !taken.has(window.agent),
    );
    return {
      orphanMs: Math.max(...windows.map(({ opensAt, usedAt }) => usedAt - opensAt)),
      windows: windows.length,
      unsentMs: Math.max(...sentAt) - killedAt,
      unsent: unsent.length,
      early: await fleet.early(),
    };
  } finally {
    await fleet.stop();
  }
}

/** What is held by the pod that holds this agent. */
async function readHeldWith(agent: string, { redis }: Store, { prefix }: CooldownFleet) {
  const keys = createKeys(prefix);
  const states = await Promise.all(
    AGENTS.map(async (each) => {
      const [pod, job, sent] = await redis.hmget(keys.agent('forum', each), 'pod', 'job', 'sent');
      return { agent: each, pod, job: job ?? '', wasSent: sent === '1' };
    }),
  );
  const dead = states.find((state) => state.agent === agent)?.pod;
  return states.filter(({ pod }) => pod !== null && pod === dead);
}
