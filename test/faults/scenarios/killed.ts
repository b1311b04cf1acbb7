// `kill -9` of a pod with 200 jobs in flight. Its locks run out, another pod's sweep finds the jobs, and all run again within
// 25 s of the kill. The short form kills fewer; its seconds are the same, because the lock's 20 s are the engine's own.

import { join } from 'node:path';
import { Queue } from 'bullmq';
import { ROOT } from '../../../scripts/prepare.js';
import { type Arena, type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { plain, steady } from '../fleet/queues/lanes.ts';
import { type ArenaPod, startProcess } from '../harness/pods.ts';
import { lasts, until } from '../harness/until.ts';

const RERUN_MS = 25_000;

export function run(options: FaultOptions): Promise<Evidence> {
  const inFlight = options.short ? 40 : 200;
  return inArena(`kill -9, ${inFlight} in flight`, options, 40_000, async (arena, evidence) => {
    const { ledger, random } = arena;
    const victim = await arena.startPod('victim', { concurrency: inFlight });
    const jobs = [
      ...(await ledger.addAll(steady, inFlight / 2, { firstHoldMs: 120_000 })),
      ...(await ledger.addAll(plain, inFlight / 2, { firstHoldMs: 120_000 })),
    ];
    await until('all are in flight', 20_000, () => arena.arrivals(jobs).length === inFlight);
    await arena.startPod('rescuer', { concurrency: inFlight + 50 });
    const twin = options.short ? undefined : await startTwin(arena);
    const load = ledger.load(50, () => ({ lane: random() < 0.5 ? steady : plain, work: { holdMs: random() * 100 } }));

    const killedAt = arena.now();
    victim.signal('SIGKILL');
    twin?.victim.signal('SIGKILL');
    const again = () => arena.arrivals(jobs).filter(({ start }) => start > 1);
    await until('all run again', RERUN_MS + 5_000, () => new Set(again().map(({ job }) => job)).size === inFlight);
    evidence.longestRerunMs = Math.max(...again().map(({ at }) => at)) - killedAt;
    evidence.prove(evidence.longestRerunMs <= RERUN_MS, `all ${inFlight} ran again within 25 s of the kill`);
    evidence.prove(
      again().every(({ attempt }) => attempt === 1),
      'the crash used no attempt',
    );
    if (twin) {
      await lasts(killedAt + RERUN_MS - arena.now());
      const starts = arena.arrivals([twin.job]).length;
      evidence.prove(starts === 1, `twin: plain BullMQ workers had not run theirs again after 25 s (${starts} start)`);
    }
    await load.stop();
    const doubled = () => arena.bare.effects.length - new Set(arena.bare.effects.map(({ jobId }) => jobId)).size;
    await until('effects of the second runs', 10_000, () => doubled() >= inFlight / 2).catch(() => {});
    evidence.prove(doubled() >= inFlight / 2, 'twin: without idempotency keys every one of them had its effect twice');
  });
}

/** Two workers of plain BullMQ with its defaults, one job that the first has in hand. */
async function startTwin(arena: Arena): Promise<{ victim: ArenaPod; job: string }> {
  const argv = ['--import', 'tsx', join(ROOT, 'test', 'faults', 'harness', 'raw-worker.ts')];
  const port = new URL(await upstreamUrl(arena)).origin;
  const start = async (label: string) => {
    const worker = await startProcess(label, argv, {
      ...process.env,
      REDIS_URL: arena.redis.url,
      FAULTS_BARE_URL: port,
      FAULTS_POD: label,
    });
    arena.defer(() => worker.signal('SIGKILL'));
    return worker;
  };
  const victim = await start('raw-victim');
  const queue = new Queue('raw', { connection: { url: arena.redis.url } });
  const { id } = await queue.add('raw', {});
  await queue.close();
  const job = `raw-${id}`;
  await until('the twin has its job in hand', 20_000, () => arena.arrivals([job]).length === 1);
  await start('raw-rescuer');
  return { victim, job };
}

async function upstreamUrl({ bare }: Arena): Promise<string> {
  return (await bare.start()).url;
}
