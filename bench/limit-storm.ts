// A hundred jobs at once on an upstream that takes three: what it sees, before (raw BullMQ, failing on 429 and trying again) and
// after (ours). A plot of its requests over time goes with it: limit-storm.svg.

import type { Bench } from './bench.ts';
import { type Case, startLimitedFleet, type Way, waitFor } from './limited-fleet.ts';
import type { Store } from './store.ts';
import { type Panel, plotRequests } from './storm-plot.ts';

const JOBS = 100;
const GIVEN: Case = { limits: [{ concurrent: 3 }], latency: '100ms' };
const PLOT = 'A storm of 100 jobs on a limit of 3 at once: requests over time, before and after';
/** No use waiting for all that raw retries will come to: some give up. */
const GIVE_UP_MS = 60_000;
const SIDES: readonly { way: Way; title: string }[] = [
  { way: 'raw, retrying on 429', title: 'before: BullMQ, failing on 429 and trying again' },
  { way: 'ours, scripts', title: 'after: Lanekeeper, permits before jobs' },
];

export const limitStorm: Bench = {
  question: 'requests that an upstream which takes 3 at once sees of 100 jobs that come at once',
  rounds: 1,
  async run({ store, say }) {
    const panels: Panel[] = [];
    for (const { way, title } of SIDES) {
      panels.push({ title, ...(await storm(store, way)) });
      say(`storm ${way}: ${panels.at(-1)?.requests.length} requests`);
    }
    const seconds = (ms: number) => (ms / 1_000).toFixed(1);
    return {
      head: ['', 'requests', 'refused (429)', 'last job done after, s', 'jobs done'],
      rows: panels.map(({ title, requests, done }) => [
        title,
        String(requests.length),
        String(requests.filter(({ isRefused }) => isRefused).length),
        seconds(Math.max(...requests.map(({ atMs }) => atMs))),
        String(done),
      ]),
      notes: [
        'Four worker processes, answers after 100 ms; 100 jobs at 3 at once take 3.4 s at the least. Plot: limit-storm.svg.',
      ],
      files: { 'limit-storm.svg': plotRequests(PLOT, panels) },
    };
  },
};

async function storm(store: Store, way: Way): Promise<Omit<Panel, 'title'>> {
  const fleet = await startLimitedFleet(store, way, GIVEN, JOBS);
  try {
    const succeeded = async () => (await fleet.arrivals()).filter(({ status }) => status === 200).length;
    await waitFor('all are done', GIVE_UP_MS, async () => (await succeeded()) >= JOBS || undefined).catch(() => {});
    const arrivals = await fleet.arrivals();
    const firstAt = arrivals[0]?.at ?? 0;
    return {
      done: await succeeded(),
      requests: arrivals.map(({ at, status }) => ({ atMs: at - firstAt, isRefused: status === 429 })),
    };
  } finally {
    await fleet.stop();
  }
}
