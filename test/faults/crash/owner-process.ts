// A process of the crash build in which exclusive lanes change hands: it hosts pods, takes lanes and feeds them as it is told. With the
// environment of crash-point it is the one that dies. FAULTS_CRASH_TWIN=blind takes lanes without setting aside what runs, and looks at
// no lease when it admits, so that the judge can be tried.

import { appendFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { createPod, type Pod } from '../../../src/engine/pod.ts';
import { defineLane, defineUpstream, handle, type Lane } from '../../../src/index.ts';
import { takeLane } from '../../../src/path/owner-orders.ts';
import { openProducer } from '../../../src/path/producer.ts';
import { connectRedis } from '../../../src/store/connect.ts';
import { createSingleLocks } from '../../../src/store/ownership/locks-single.ts';
import { systemClock } from '../../../src/words/clock.ts';
import { crashPoint } from '../../../src/words/crash-point.ts';
import { createKeys } from '../../../src/words/keys.ts';

export type OwnerOrder = { prefix: string; record: string } & (
  | { do: 'pod' }
  | { do: 'stop' }
  | { do: 'take'; lane: string; as: string }
  | { do: 'add'; lane: string; as: string; ns: number[]; asList: boolean }
);

/** What a run writes down: who was granted what, which adds were heard of, and each attempt that came to its handler. */
export type OwnerLine =
  | { what: 'taken'; lane: string; as: string; token: number }
  | { what: 'accepted'; n: number; id: string }
  | { what: 'refused'; n: number }
  | { what: 'ran'; n: number; id: string; fence: number; pid: number };

const { REDIS_URL = '', FAULTS_CRASH_TWIN } = process.env;
const isBlind = FAULTS_CRASH_TWIN === 'blind';
const policy = { ownership: 'exclusive', displaced: isBlind ? 'drain' : 'park', concurrency: 2 } as const;
const upstream = defineUpstream({ name: 'forum', agents: ['a', 'b'] });
const agent = { cooldown: '50ms' };
/** One alone, and two that act as the same agents and change hands together. */
export const OWNED_LANES: Lane[] = [
  defineLane({ name: 'alone', ...policy }) as Lane,
  defineLane({ name: 'publish', upstream, agent, ...policy }) as Lane,
  defineLane({ name: 'reply', upstream, agent, ...policy }) as Lane,
];

const pods = new Map<string, Pod[]>();
const laneOf = (name: string) => OWNED_LANES.find((lane) => lane.name === name) as Lane;
const write = (record: string, line: OwnerLine) => appendFileSync(record, `${JSON.stringify(line)}\n`);

async function obey(order: OwnerOrder): Promise<void> {
  const { prefix, record } = order;
  const mine = pods.get(prefix) ?? [];
  if (order.do === 'stop') {
    pods.delete(prefix);
    await Promise.all(mine.map((pod) => pod.stop('the run is over', 5_000)));
  } else if (order.do === 'pod') {
    const handlers = OWNED_LANES.map((lane) => handle(lane, { run: (job, ctx) => act(record, job, ctx) }));
    const log = pino({ level: 'silent' });
    const pod = createPod({ redisUrl: REDIS_URL, prefix, handlers, concurrency: 8, log, watchdog: false });
    pods.set(prefix, [...mine, pod]);
    await pod.start();
  } else if (order.do === 'take') {
    const redis = new Redis(REDIS_URL);
    const locks = createSingleLocks({ redis, keys: createKeys(prefix) });
    const asked = { as: order.as, by: 'ann@desk', reason: 'a run', for: '1h', isForced: true };
    try {
      crashPoint('before-take');
      const { token } = await takeLane({ locks, lane: laneOf(order.lane), lanes: OWNED_LANES }, asked);
      crashPoint('after-take');
      write(record, { what: 'taken', lane: order.lane, as: order.as, token });
    } finally {
      redis.disconnect();
    }
  } else {
    await add(order);
  }
}

async function add({ prefix, record, lane, as, ns, asList }: OwnerOrder & { do: 'add' }): Promise<void> {
  const redis = await connectRedis(REDIS_URL, 'producer');
  const producer = openProducer(redis, REDIS_URL, prefix, systemClock);
  const feeder = { as, by: 'ann@desk' };
  const items = ns.map((n) => ({ payload: n, key: `k${n}` }));
  try {
    if (asList) {
      const added = await producer.addManyAs(feeder, laneOf(lane), items, {});
      for (const [place, { id }] of added.entries()) write(record, { what: 'accepted', n: ns[place] as number, id });
      return;
    }
    for (const { payload: n, key } of items) {
      try {
        write(record, { what: 'accepted', n, id: (await producer.addAs(feeder, laneOf(lane), n, { key })).id });
      } catch (error) {
        if ((error as { code?: string }).code !== 'LK_OWNED') throw error;
        write(record, { what: 'refused', n });
      }
    }
  } finally {
    await producer.close();
    redis.disconnect();
  }
}

/** Long enough to be displaced in the middle. Answers under which fence it ran: the attempt that settles is the one that is kept. */
async function act(
  record: string,
  { id, payload }: { id: string; payload: unknown },
  { fence, signal }: { fence: string; signal: AbortSignal },
): Promise<unknown> {
  const n = payload as number;
  write(record, { what: 'ran', n, id, fence: Number(fence), pid: process.pid });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, (n * 7) % 40);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    if (!isBlind) signal.addEventListener('abort', stop, { once: true });
  });
  return { fence: Number(fence), n };
}

process.on('message', ({ id, order }: { id: number; order: OwnerOrder }) => {
  obey(order).then(
    () => process.send?.({ id }),
    (error: Error) => process.send?.({ id, problem: error.stack }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ id: 0 });
