// Redis hangs (SIGSTOP) for 8 s under load, with work in flight. Producers hear so within 1.5 s; no job is started twice,
// because the lock outlives the hang; nothing is lost. A plain BullMQ producer beside it hears nothing. The short form hangs
// for 3 s, which is less than the renewal's period: that locks outlive it, it does not show.

import { Queue } from 'bullmq';
import { type FaultOptions, inArena, trySignal } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { plain, steady } from '../fleet/queues/lanes.ts';
import { HEAR_MS } from '../harness/ledger.ts';
import { lasts, until } from '../harness/until.ts';
import { proveRefusals } from './redis-gone.ts';

export function run(options: FaultOptions): Promise<Evidence> {
  const hangMs = options.short ? 3_000 : 8_000;
  return inArena(`Redis hung ${hangMs / 1_000} s`, options, 30_000, async (arena, evidence) => {
    const { ledger, random, redis } = arena;
    await Promise.all([arena.startPod('a'), arena.startPod('b')]);
    // Some are over before the hang ends, some after it.
    const load = ledger.load(options.short ? 40 : 20, () => ({
      lane: random() < 0.5 ? steady : plain,
      work: { firstHoldMs: random() * (random() < 0.9 ? 500 : hangMs * 1.5) },
    }));
    await until('both pods work', 20_000, () => new Set(arena.arrivals().map(({ pod }) => pod)).size === 2);
    await until('a hundred have run', 20_000, () => arena.arrivals().length >= 100);
    const twin = new Queue('raw', { connection: { url: redis.url } });
    twin.on('error', () => {});
    await twin.waitUntilReady();

    const hungAt = arena.now();
    trySignal(redis.pid, 'SIGSTOP');
    let twinHeard = false;
    const twinAdd = twin.add('raw', {}).finally(() => {
      twinHeard = true;
    });
    await lasts(HEAR_MS);
    evidence.prove(!twinHeard, 'twin: a plain BullMQ producer still hears nothing after 1.5 s');
    await lasts(hungAt + hangMs - arena.now());
    trySignal(redis.pid, 'SIGCONT');
    const backAt = arena.now();
    await until('pods work again', 10_000, () => arena.arrivals().some(({ at }) => at > backAt));
    await twinAdd;
    await twin.close();
    await lasts(2_000); // the load goes on after the fault
    await load.stop();
    proveRefusals(evidence, ledger);
    evidence.prove(
      arena.arrivals().every(({ start }) => start === 1),
      'no job was started twice',
    );
  });
}
