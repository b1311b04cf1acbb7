// A process of the crash build. It hosts pods and producers of any number of runs, as it is told over its channel; with the
// environment of crash-point it is the one that dies. FAULTS_CRASH_TWIN takes a guard away, so that the judge can be tried.

import { pino } from 'pino';
import { createPod, type Pod } from '../../../src/engine/pod.ts';
import { createProducer, type Lane } from '../../../src/index.ts';
import { writeStep } from '../../../src/store/scripts/write-step.ts';
import { createHandlers, LANES, type Work } from './lanes.ts';
import { write } from './record.ts';

export interface PlannedJob extends Work {
  lane: string;
  key?: string | undefined;
}

export type Order = { prefix: string; record: string } & (
  | { do: 'pod'; concurrency: number }
  | { do: 'stop' }
  /** One by one, or with one call. */
  | { do: 'add'; jobs: PlannedJob[]; asList: boolean }
);

const { REDIS_URL = '', FAULTS_CRASH_TWIN } = process.env;
const log = pino({ level: 'silent' });
const pods = new Map<string, Pod[]>();

/** Steps are done and never kept. */
if (FAULTS_CRASH_TWIN === 'forgetful') writeStep.run = async () => true;

async function obey(order: Order): Promise<void> {
  const { prefix, record } = order;
  if (order.do === 'add') return add(order.jobs, order.asList, prefix, record);
  const mine = pods.get(prefix) ?? [];
  if (order.do === 'stop') {
    pods.delete(prefix);
    await Promise.all(mine.map((pod) => pod.stop('the run is over', 5_000)));
    return;
  }
  const { concurrency } = order;
  const handlers = createHandlers(record);
  const pod = createPod({ redisUrl: REDIS_URL, prefix, handlers, concurrency, log, watchdog: false });
  pods.set(prefix, [...mine, pod]);
  await pod.start();
}

async function add(jobs: PlannedJob[], asList: boolean, prefix: string, record: string): Promise<void> {
  const producer = await createProducer({ redis: REDIS_URL, prefix });
  const heard = (n: number, id: string) => write(record, { what: 'accepted', n, id, pid: process.pid });
  const laneOf = (job: PlannedJob) => LANES.find(({ name }) => name === job.lane) as Lane;
  try {
    if (asList) {
      const items = jobs.map(({ n, kind, key }) => ({ payload: { n, kind }, key }));
      const added = await producer.addMany(laneOf(jobs[0] as PlannedJob), items);
      for (const [place, { id }] of added.entries()) heard((jobs[place] as PlannedJob).n, id);
      return;
    }
    for (const job of jobs) {
      const { n, kind, key } = job;
      heard(n, (await producer.add(laneOf(job), { n, kind }, { key })).id);
    }
  } finally {
    await producer.close();
  }
}

process.on('message', ({ id, order }: { id: number; order: Order }) => {
  obey(order).then(
    () => process.send?.({ id }),
    (error: Error) => process.send?.({ id, problem: error.stack }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ id: 0 });
