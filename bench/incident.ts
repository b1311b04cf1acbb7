// The incident, replayed: a cron is running, and somebody starts a batch by hand on the same accounts. Against two BullMQ deployments
// that each keep a careful calendar of their own, and against an exclusive lane: the person is told who owns it, takes it, and gives
// it back. The plot and the timeline that ours wrote go with it: incident.svg, incident.txt.

import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Queue } from 'bullmq';
import { createProducer, defineLane, defineUpstream, type Hold, LanekeeperError } from 'lanekeeper';
import { ROOT } from '../scripts/prepare.js';
import { whoami } from '../src/words/whoami.ts';
import type { Bench } from './bench.ts';
import {
  BATCH,
  CALM_MS,
  COOLDOWN_MS,
  CRON_EVERY_MS,
  every,
  GIVE_UP_MS,
  openScene,
  SCENE_ENV,
  type Scene,
  type Told,
  toRow,
} from './incident-scene.ts';
import { waitFor } from './limited-fleet.ts';
import { pause, type Store } from './store.ts';
import { plotRequests } from './storm-plot.ts';
import { startWorker } from './worker-process.ts';

const FLEET = join(ROOT, 'bench', 'incident-fleet');
const PLOT = 'A batch of 500 beside a cron on the same 32 accounts: requests over time';

export const incident: Bench = {
  question: 'what becomes of 32 agents when somebody starts 500 jobs by hand while a cron acts as them',
  rounds: 1,
  async run({ store, say }) {
    const plain = await replay(say, (scene) => replayPlain(store, scene));
    const { timeline, said, ...ours } = await replay(say, (scene) => replayOurs(store, scene));
    const told = [plain, ours];
    return {
      head: [
        '',
        'refused before',
        'refused after',
        'agents banned',
        'last refused after, s',
        'all done after, s',
        'jobs done',
        'cron ticks told to wait',
      ],
      rows: told.map(toRow),
      notes: [
        `A second stands for two hours: cooldown ${COOLDOWN_MS} ms; who comes early is banned for as long, doubled each time, a minute at the most; 3 requests at once; answers after 20 ms.`,
        `The cron adds a job every ${CRON_EVERY_MS} ms, half of what the windows allow; after ${CALM_MS / 1_000} s somebody adds ${BATCH} at once. No more is added by the cron once the batch is through. Given up after ${GIVE_UP_MS / 1_000} s.`,
        'BullMQ: a queue and a worker each for cron and batch; either acts only as agents that have rested by all it knows; ten attempts, backoff from 250 ms, doubled, whatever Retry-After says.',
        `Ours: two pods, one exclusive lane. The first \`take\` was refused: "${said}". Then \`take --force\`, the batch, \`release\`; the cron takes the lane again and what it had added goes on.`,
        'Plot: incident.svg. The timeline that ours wrote: incident.txt.',
      ],
      files: { 'incident.svg': plotRequests(PLOT, told.map(toPanel)), 'incident.txt': timeline },
    };
  },
};

async function replay<T extends Told>(say: (line: string) => void, play: (scene: Scene) => Promise<T>): Promise<T> {
  const scene = await openScene();
  try {
    const told = await play(scene);
    say(`incident: ${toRow(told).join('; ')}`);
    return told;
  } finally {
    scene.upstream.stop();
  }
}

function toPanel({ title, acts, done }: Told) {
  const firstAt = acts[0]?.at ?? 0;
  return { title, done, requests: acts.map(({ at, status }) => ({ atMs: at - firstAt, isRefused: status === 429 })) };
}

async function replayPlain(store: Store, { upstream, acts }: Scene): Promise<Told> {
  const prefix = await store.fresh();
  const env = { ...SCENE_ENV, BENCH_URL: upstream.url };
  const workers = await Promise.all(
    ['cron', 'batch'].map((name) => startWorker('raw', store, { prefix, env, child: ['incident-worker.js', name] })),
  );
  const [cron, batch] = ['cron', 'batch'].map((name) => new Queue(name, { connection: store.redis, prefix })) as [
    Queue,
    Queue,
  ];
  const opts = { attempts: 10, backoff: { type: 'exponential', delay: 250 } };
  let accepted = BATCH;
  const ticks = every(CRON_EVERY_MS, async () => {
    await cron.add('post', {}, opts);
    accepted++;
  });
  const left = async (queue: Queue) => {
    const { waiting = 0, delayed = 0, active = 0 } = await queue.getJobCounts('waiting', 'delayed', 'active');
    return waiting + delayed + active;
  };
  try {
    await pause(CALM_MS);
    const batchAt = await newest(acts);
    await batch.addBulk(Array.from({ length: BATCH }, () => ({ name: 'post', data: {}, opts })));
    const isThrough = async (queue: Queue) => (await left(queue)) === 0 || undefined;
    await waitFor('the batch is through', GIVE_UP_MS, () => isThrough(batch)).catch(() => {});
    await ticks.stop();
    await waitFor('the cron is through', GIVE_UP_MS, () => isThrough(cron)).catch(() => {});
    const done = (await Promise.all([cron, batch].map((queue) => queue.getCompletedCount()))).reduce((a, b) => a + b);
    return { title: 'before: two BullMQ deployments', acts: await acts(), batchAt, accepted, done, skipped: 0 };
  } finally {
    await ticks.stop();
    await Promise.all([...workers.map((worker) => worker.stop()), cron.close(), batch.close()]);
  }
}

const post = defineLane({
  name: 'post',
  upstream: defineUpstream({ name: 'forum' }),
  agent: { cooldown: `${COOLDOWN_MS}ms` },
  ownership: 'exclusive',
});

async function replayOurs(store: Store, { upstream, acts }: Scene): Promise<Told & { timeline: string; said: string }> {
  const prefix = await store.fresh();
  const env = { ...SCENE_ENV, BENCH_URL: upstream.url };
  const pods = await Promise.all([1, 2].map(() => startWorker('ours', store, { prefix, env, fleet: FLEET })));
  const cli = createCli(store, prefix, env);
  const producer = await createProducer({ redis: store.url, prefix });
  let hold: Hold | undefined;
  let skipped = 0;
  let accepted = BATCH;
  const ticks = every(CRON_EVERY_MS, async () => {
    try {
      if (!hold?.isHeld) hold = await producer.take(post, { as: 'cron', reason: 'what is due' });
      await hold.add({ of: 'cron' });
      accepted++;
    } catch (error) {
      if (!(error instanceof LanekeeperError && error.code === 'LK_OWNED')) throw error;
      skipped++;
    }
  });
  const doneBy = async (who: string) =>
    (await acts()).filter(({ lane, status }) => lane === who && status === 200).length;
  try {
    await pause(CALM_MS);
    const batchAt = await newest(acts);
    const take = ['take', 'post', '--as', 'manual', '--reason', `backfill of ${BATCH}`, '--for', '5m'];
    const said = await cli(...take).then(
      () => 'nothing: it was granted',
      ({ stderr }: { stderr: string }) => stderr.trim(),
    );
    await cli(...take, '--force');
    await producer.addMany(
      post,
      Array.from({ length: BATCH }, () => ({ payload: { of: 'batch' } })),
      { as: 'manual' },
    );
    await waitFor('the batch is through', GIVE_UP_MS, async () => (await doneBy('batch')) >= BATCH || undefined);
    await cli('release', 'post', '--as', 'manual', '--reason', 'all is in');
    await waitFor('the cron has it again', GIVE_UP_MS, async () => hold?.isHeld || undefined);
    await ticks.stop();
    const all = async () => (await doneBy('batch')) + (await doneBy('cron'));
    await waitFor('the cron is through', GIVE_UP_MS, async () => (await all()) >= accepted || undefined).catch(
      () => {},
    );
    await hold?.release();
    const { stdout: timeline } = await cli('timeline', '--since', '10m');
    const figures = { acts: await acts(), batchAt, accepted, done: await all(), skipped };
    return { title: 'after: one lane, one owner at a time', ...figures, timeline: mask(timeline), said: mask(said) };
  } finally {
    await ticks.stop();
    await producer.close();
    await Promise.all(pods.map((pod) => pod.stop()));
  }
}

/** Who ran the bench, and where, is nobody's business. */
function mask(text: string): string {
  return text.replaceAll(whoami(), 'ann@desk').replaceAll(`${hostname()}-`, 'pod-');
}

/** As somebody at a terminal. */
function createCli(store: Store, prefix: string, env: Record<string, string>) {
  const main = join(ROOT, 'dist', 'main.js');
  const settings = { ...process.env, ...env, REDIS_URL: store.url, LANEKEEPER_PREFIX: prefix, COLUMNS: '120' };
  return (...args: string[]) =>
    promisify(execFile)(process.execPath, [main, ...args, '--dir', FLEET], { env: settings, encoding: 'utf8' });
}

/** The upstream's instant of now, as near as its record knows. */
async function newest(acts: Scene['acts']): Promise<number> {
  return (await acts()).at(-1)?.at ?? 0;
}
