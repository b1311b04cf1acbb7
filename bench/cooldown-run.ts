// One run of one way: work is always waiting, and the upstream's record says what became of the windows.

import type { Arrival } from '../test/faults/limits/upstream-process.ts';
import { findWindows, isRefused, latenessOf, shareUsed } from './cooldown-figures.ts';
import {
  AGENTS,
  type Case,
  type CooldownFleet,
  startCooldownFleet,
  TOP,
  type Way,
  type Work,
} from './cooldown-fleet.ts';
import { waitFor } from './limited-fleet.ts';
import { pause, type Store } from './store.ts';
import { countCommands } from './worker-process.ts';

const TOP_JOBS = 20;
/** A backlog that a run would use up is filled again, so often. */
const REFILL_MS = 200;
const LASTING = 5_000;

export interface Figures {
  early: number;
  lateMs: number[];
  used: number;
  commandsPerJob: number;
  redisMsPerJob: number;
  /** Other starts between the acknowledgement of a late top job and its own. */
  before: number[];
  /** Top jobs that had not acted when the run was over: what stands in `before` is the least that it will be. */
  unstarted: number;
}

export interface Span {
  warmMs: number;
  forMs: number;
}

export async function measureRun(store: Store, way: Way, given: Case, span: Span): Promise<Figures> {
  const { acts, fleet, ...seen } = await record(store, way, given, span);
  const { fromAt, untilAt, commands, redisMs, tops } = seen;
  const windows = findWindows(acts, given.cooldownMs);
  const passed = acts.filter((act) => !isRefused(act));
  const done = passed.filter(({ endedAt }) => endedAt >= fromAt && endedAt < untilAt).length;
  const started = new Map(passed.map(({ job, at }) => [job, at]));
  const early = await fleet.early();
  await fleet.stop();
  return {
    early,
    lateMs: latenessOf(windows, fromAt, untilAt),
    used: shareUsed(windows, fromAt, untilAt),
    commandsPerJob: commands / done,
    redisMsPerJob: redisMs / done,
    before: tops.map(({ job, ackAt }) => {
      const ownAt = started.get(job) ?? untilAt;
      return passed.filter((act) => act.job !== job && act.at > ackAt && act.at < ownAt).length;
    }),
    unstarted: tops.filter(({ job }) => !started.has(job)).length,
  };
}

interface Recorded {
  fleet: CooldownFleet;
  /** All of the run, what came before it was measured too. */
  acts: Arrival[];
  fromAt: number;
  untilAt: number;
  commands: number;
  redisMs: number;
  tops: { job: string; ackAt: number }[];
}

/** Whoever asks stops the fleet. */
export async function record(store: Store, way: Way, given: Case, { warmMs, forMs }: Span): Promise<Recorded> {
  const fleet = await startCooldownFleet(store, way, given);
  try {
    const refill = await load(fleet, given.backlog);
    await waitFor('an act', 30_000, async () => (await fleet.acts())[0]);
    await pause(warmMs);
    const [commandsBefore, redisBefore] = [await countCommands(fleet.pods), await store.cpuSeconds()];
    const fromAt = fleet.now();
    const tops: Recorded['tops'] = [];
    for (let n = 0; n < TOP_JOBS; n++) {
      await pause(fromAt + ((n + 0.5) * forMs) / (TOP_JOBS + 1) - fleet.now());
      const job = await fleet.add({ priority: TOP });
      tops.push({ job, ackAt: fleet.now() });
    }
    await pause(fromAt + forMs - fleet.now());
    const untilAt = fleet.now();
    const redisMs = ((await store.cpuSeconds()) - redisBefore) * 1_000;
    const commands = (await countCommands(fleet.pods)) - commandsBefore;
    await refill.stop();
    return { fleet, acts: await fleet.acts(), fromAt, untilAt, commands, redisMs, tops };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

/** Half bound, every priority of ten alike often. A short one is filled again with the like of what was done. */
async function load(fleet: CooldownFleet, backlog: number): Promise<{ stop(): Promise<void> }> {
  const works = Array.from(
    { length: backlog },
    (_, n): Work => ({
      agent: n % 2 === 0 ? AGENTS[(n / 2) % AGENTS.length] : undefined,
      priority: 1 + Math.floor(Math.random() * 10),
    }),
  );
  const ids = await fleet.addMany(works);
  if (backlog >= LASTING) return { async stop() {} };
  const waiting = new Map(ids.map((id, n) => [id, works[n] as Work]));
  let isOver = false;
  const refilling = (async () => {
    while (!isOver) {
      await pause(REFILL_MS);
      const acts = await fleet.acts();
      const again: Work[] = [];
      for (const act of acts.slice(-LASTING)) {
        const work = isRefused(act) ? undefined : waiting.get(act.job);
        if (work && waiting.delete(act.job)) again.push(work);
      }
      for (const [n, id] of (await fleet.addMany(again)).entries()) waiting.set(id, again[n] as Work);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await refilling;
    },
  };
}
