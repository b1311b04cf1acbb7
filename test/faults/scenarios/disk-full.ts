// The disk of Redis is full: with appendfsync everysec it answers MISCONF to every write. Producers get one clear line, pods
// wait without spinning and say little, and when there is room again all go on by themselves; nothing accepted is lost. In the
// short form the disk is full for 3 s, in which no lock runs out.

import { type FaultOptions, inArena } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { plain, steady } from '../fleet/queues/lanes.ts';
import { mountSmallDisk } from '../harness/small-disk.ts';
import { lasts, until } from '../harness/until.ts';

const DISK_MIB = 32;
const BACK_MS = 10_000;
const LANES = 5;
/** A lane asks to fetch, settle and renew once a second each; a pod rings, beats, sweeps and journals. */
const ASKS_PER_POD = 3 * LANES + 5;
/** One line per work that fails in 10 s: fetch, settle, renew, sweep, journal, heartbeat; one more is room. */
const LINES_PER_10_S = 7;

export async function run(options: FaultOptions): Promise<Evidence> {
  const disk = await mountSmallDisk(DISK_MIB);
  const fullMs = options.short ? 3_000 : 30_000;
  try {
    return await inArena(
      `disk full for ${fullMs / 1_000} s`,
      { ...options, dataDir: disk.dir },
      60_000,
      (arena, evidence) => body(arena, evidence, disk, fullMs),
    );
  } finally {
    await disk.remove();
  }
}

type Body = Parameters<typeof inArena>[3];

async function body(
  arena: Parameters<Body>[0],
  evidence: Evidence,
  disk: Awaited<ReturnType<typeof mountSmallDisk>>,
  fullMs: number,
): Promise<void> {
  const { ledger, look, random, producer } = arena;
  arena.defer(() => disk.makeRoom());
  await Promise.all([arena.startPod('a'), arena.startPod('b')]);
  const load = ledger.load(40, () => ({
    lane: random() < 0.5 ? steady : plain,
    work: { firstHoldMs: random() * 300 },
  }));
  await until('a hundred have run', 20_000, () => arena.arrivals().length >= 100);

  const fullAt = arena.now();
  // What Redis still holds a page for is written before it notices.
  await until('Redis refuses to write', 10_000, async () => {
    await disk.fill();
    return (await refusals(look)) > 0;
  });
  const said = await producer.add(plain as never, { n: -1 }).then(
    () => 'it was accepted',
    (error: Error) => error.message,
  );
  evidence.prove(/^Redis refused to write: MISCONF [^\n]+$/.test(said), `a producer is told: ${said}`);
  await until('ten adds are refused', 10_000, () => ledger.refusals.length >= 10);
  await load.stop(); // from here on it is the pods who are counted
  await lasts(1_000); // what was under way has been refused once
  const [before, countedAt] = [await refusals(look), arena.now()];
  await lasts(fullAt + fullMs - arena.now());
  const perSecond = ((await refusals(look)) - before) / ((arena.now() - countedAt) / 1_000);
  evidence.prove(
    perSecond <= 2 * ASKS_PER_POD,
    `two pods asked ${perSecond.toFixed(1)} times a second meanwhile (at most ${2 * ASKS_PER_POD})`,
  );

  await disk.makeRoom();
  const roomAt = arena.now();
  const again = ledger.load(40, () => ({ lane: random() < 0.5 ? steady : plain }));
  await until('pods work again by themselves', 30_000, () => {
    return new Set(arena.arrivals().flatMap(({ pod, at }) => (at > roomAt ? [pod] : []))).size === 2;
  });
  const resumedMs = (arena.arrivals().find(({ at }) => at > roomAt)?.at ?? Infinity) - roomAt;
  evidence.prove(resumedMs <= BACK_MS, `work went on ${Math.round(resumedMs)} ms after there was room`);
  await lasts(1_000); // the load goes on after the fault
  await again.stop();
  const codes = [...new Set(ledger.refusals.map(({ code }) => code))].join(', ');
  evidence.prove(codes === 'LK_REDIS_DOWN', `${ledger.refusals.length} adds were refused, with ${codes}`);
  const lines = arena.pods.map((pod) => pod.said('redis.failing') + pod.said('redis.failing.repeated'));
  const most = LINES_PER_10_S * Math.ceil((arena.now() - fullAt) / 10_000 + 1);
  evidence.prove(Math.max(...lines) <= most, `a pod wrote at most ${Math.max(...lines)} lines about it`);
  evidence.prove(Math.min(...lines) > 0, 'and at least one');
  evidence.prove(
    arena.pods.every((pod) => !pod.exit),
    'no pod died of it',
  );
}

async function refusals(look: Parameters<Body>[0]['look']): Promise<number> {
  return Number(/errorstat_MISCONF:count=(\d+)/.exec(await look.info('errorstats'))?.[1] ?? 0);
}
