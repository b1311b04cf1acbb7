// The scene of the incident, a second for two hours: 32 agents with a cooldown, an upstream that bans whoever comes early, each time
// for longer, a cron that works at half of what the windows allow, and 500 starts on the same accounts that somebody adds by hand.

import type { Arrival, UpstreamProcess } from '../test/faults/limits/upstream-process.ts';
import { startUpstream } from '../test/faults/limits/upstream-process.ts';
import { pause } from './store.ts';

export const AGENTS = Array.from({ length: 32 }, (_, n) => `a${String(n + 1).padStart(2, '0')}`);
export const COOLDOWN_MS = 1_000;
export const BATCH = 500;
/** Half of the 30 acts a second that the windows allow. */
export const CRON_EVERY_MS = 66;
/** Of the cron alone. */
export const CALM_MS = 5_000;
/** After the batch was added, unless all is done before: some of it never recovers. */
export const GIVE_UP_MS = 60_000;

export const SCENE_ENV = {
  BENCH_AGENTS: JSON.stringify(AGENTS),
  BENCH_COOLDOWN_MS: String(COOLDOWN_MS),
};

export interface Scene {
  upstream: UpstreamProcess;
  /** Requests of agents so far. */
  acts(): Promise<Arrival[]>;
}

export async function openScene(): Promise<Scene> {
  const upstream = await startUpstream([{ concurrent: 3 }], '20ms');
  await upstream.configure({ cooldown: `${COOLDOWN_MS}ms`, banFor: `${COOLDOWN_MS}ms`, banGrowth: 2, banMax: '1m' });
  return { upstream, acts: async () => (await upstream.arrivals()).filter(({ agent }) => agent !== null) };
}

/** Calls `tick` every so often until it is stopped. */
export function every(ms: number, tick: () => Promise<unknown>): { stop(): Promise<void> } {
  let isOver = false;
  const ticking = (async () => {
    for (let next = performance.now(); !isOver; next += ms) {
      await pause(next - performance.now());
      if (!isOver) await tick();
    }
  })();
  return {
    stop() {
      isOver = true;
      return ticking;
    },
  };
}

export interface Told {
  title: string;
  acts: readonly Arrival[];
  /** When the batch was started, by the upstream's clock. */
  batchAt: number;
  /** Jobs of the cron and of the batch that were accepted, and how many ended as they should. */
  accepted: number;
  done: number;
  /** Ticks of the cron that were told to wait, and added nothing. */
  skipped: number;
}

export function toRow({ title, acts, batchAt, accepted, done, skipped }: Told): string[] {
  const after = acts.filter(({ at }) => at >= batchAt);
  const refused = after.filter(({ status }) => status === 429);
  const early = acts.filter(({ at, status }) => at < batchAt && status === 429).length;
  const seconds = (at: number | undefined) => (at === undefined ? '-' : ((at - batchAt) / 1_000).toFixed(1));
  return [
    title,
    String(early),
    String(refused.length),
    String(new Set(refused.map(({ agent }) => agent)).size),
    seconds(refused.at(-1)?.at),
    done < accepted ? `${accepted - done} of ${accepted} never` : seconds(after.at(-1)?.endedAt),
    `${done} of ${accepted}`,
    String(skipped),
  ];
}
