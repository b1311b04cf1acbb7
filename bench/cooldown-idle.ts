// How long from the acknowledgement of an `add` to the arrival of its act, when an agent is open and nothing else to do?

import type { Bench } from './bench.ts';
import { AGENTS, type CooldownFleet, startCooldownFleet, type Work } from './cooldown-fleet.ts';
import { waitFor } from './limited-fleet.ts';
import { median, quantile, withSpread } from './measure.ts';
import { pause, type Store } from './store.ts';

const GIVEN = { cooldownMs: 500, backlog: 0 };
/** Everybody is asked again after 32 of them, which is much longer than a cooldown. */
const IDLE_MS = 50;
const WARM = 64;
const TRIES = 50;

export const cooldownIdle: Bench = {
  question: 'ms from the acknowledgement of an add to its arrival at the upstream, with agents that are open and idle',
  rounds: 5,
  async run({ store, rounds, isQuick, say }) {
    const all: number[][] = [];
    for (let round = 0; round < rounds; round++) {
      const found = await measure(store);
      all.push(found);
      say(`idle ${round + 1}/${rounds}: p50 ${median(found).toFixed(2)}, p99 ${quantile(found, 0.99).toFixed(2)} ms`);
    }
    const ms = (q: number) =>
      withSpread(
        all.map((found) => quantile(found, q)),
        2,
      );
    return {
      head: ['', 'p50 ms', 'p99 ms', 'max ms'],
      rows: [['ours', ms(0.5), ms(0.99), ms(1)]],
      notes: [
        ...(isQuick ? ['A SHORT RUN, to see that it works.'] : []),
        `${rounds} rounds of ${TRIES} tries, ${IDLE_MS} ms after the arrival of the one before, after ${WARM} untimed; four pods. Half are bound to the agent that was idle for longest, half are for any.`,
        "The acknowledgement is read by the bench, the arrival by the upstream: both monotonic, and the bench knows the upstream's to some tenths of a millisecond, by the tightest of 200 round trips.",
      ],
    };
  },
};

async function measure(store: Store): Promise<number[]> {
  const fleet = await startCooldownFleet(store, 'ours', GIVEN);
  try {
    await pause(1_000);
    const found: number[] = [];
    for (let n = 0; n < WARM + TRIES; n++) {
      const agent = n % 2 === 0 ? await findIdlest(fleet) : undefined;
      const ms = await tryOnce(fleet, { agent, priority: 1 });
      if (n >= WARM) found.push(ms);
      await pause(IDLE_MS);
    }
    return found;
  } finally {
    await fleet.stop();
  }
}

async function tryOnce(fleet: CooldownFleet, work: Work): Promise<number> {
  const id = await fleet.add(work);
  const ackAt = fleet.now();
  const { at } = await waitFor('its act', 10_000, async () => (await fleet.acts()).findLast(({ job }) => job === id));
  return at - ackAt;
}

async function findIdlest(fleet: CooldownFleet): Promise<string> {
  const last = new Map(AGENTS.map((agent) => [agent, 0]));
  for (const { agent, at } of await fleet.acts()) if (agent !== null) last.set(agent, at);
  return [...last].reduce((idlest, next) => (next[1] < idlest[1] ? next : idlest))[0];
}
