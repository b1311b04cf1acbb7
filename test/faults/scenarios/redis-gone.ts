// Redis killed (-9) under load, with its AOF, and started again after a while: 1.5 s, or a minute. Producers hear so within
// 1.5 s; pods come back by themselves; nothing accepted is lost; what ran twice settled once; and past the life of its lock
// nothing is sent for a job. In the short form Redis is away for 5 s, in which no lock runs out.

import { type FaultOptions, inArena, trySignal } from '../arena.ts';
import type { Evidence } from '../evidence.ts';
import { deaf, plain, steady } from '../fleet/queues/lanes.ts';
import { HEAR_MS, type Ledger } from '../harness/ledger.ts';
import { lasts, until } from '../harness/until.ts';

/** A lock's life: past it no attempt may send anything. */
const LOCK_MS = 20_000;
const BACK_MS = 10_000;

export function runRestarted(options: FaultOptions): Promise<Evidence> {
  return run('Redis killed, back after 1.5 s', 1_500, options);
}

export function runGone(options: FaultOptions): Promise<Evidence> {
  return options.short
    ? run('Redis killed, back after 5 s', 5_000, options)
    : run('Redis killed, back after 60 s', 60_000, options);
}

function run(fault: string, awayMs: number, options: FaultOptions): Promise<Evidence> {
  return inArena(fault, options, 60_000, async (arena, evidence) => {
    const { ledger, random, redis } = arena;
    await Promise.all([arena.startPod('a'), arena.startPod('b')]);
    const walkers = await ledger.addAll(deaf, 10, {
      steps: Math.ceil(Math.min(awayMs, 30_000) / 1_000),
      holdMs: 1_000,
    });
    const load = ledger.load(options.short ? 40 : 20, () => ({
      lane: random() < 0.5 ? steady : plain,
      work: { firstHoldMs: random() * (random() < 0.9 ? 300 : Math.min(awayMs, 20_000) * 1.5) },
    }));
    await until('a hundred have run', 20_000, () => arena.arrivals().length >= 100);

    const killedAt = arena.now();
    trySignal(redis.pid, 'SIGKILL');
    await lasts(awayMs);
    await redis.restart();
    const backAt = arena.now();
    const later = () => arena.arrivals().filter(({ job, at }) => at > backAt && !walkers.includes(job));
    await until('pods work again by themselves', 30_000, () => new Set(later().map(({ pod }) => pod)).size === 2);
    const resumedMs = (later()[0]?.at ?? Infinity) - backAt;
    evidence.prove(resumedMs <= BACK_MS, `pods worked again ${Math.round(resumedMs)} ms after Redis was back`);
    await lasts(2_000); // the load goes on after the fault
    await load.stop();
    proveRefusals(evidence, ledger);
    evidence.prove(
      arena.pods.every((pod) => !pod.exit),
      'no pod died of it',
    );
    const firstStarts = arena.arrivals(walkers).filter(({ start, at }) => start === 1 && at > killedAt);
    if (awayMs > LOCK_MS) {
      const lastMs = Math.max(...firstStarts.map(({ at }) => at)) - killedAt;
      evidence.prove(lastMs > 1_000, 'with Redis away, attempts went on while their locks lived');
      evidence.prove(lastMs <= LOCK_MS, `and sent nothing after (last at ${Math.round(lastMs)} ms)`);
      const again = arena.arrivals().filter(({ start }) => start > 1);
      evidence.longestRerunMs = Math.max(...again.map(({ at }) => at)) - backAt;
    }
    const codes = arena.pods.map(({ lastWords }) => lastWords).join('\n');
    evidence.prove(!/unhandled|stray/i.test(codes), 'no pod had a stray rejection');
  });
}

/** While Redis was away each add was refused, in time and by its code. */
export function proveRefusals(evidence: Evidence, { refusals }: Ledger): void {
  const slowestMs = Math.max(0, ...refusals.map(({ afterMs }) => afterMs));
  const codes = [...new Set(refusals.map(({ code }) => code))].join(', ');
  evidence.prove(
    codes === 'LK_REDIS_DOWN',
    `${refusals.length} adds were refused meanwhile, with ${codes || 'nothing'}`,
  );
  evidence.prove(slowestMs <= HEAR_MS, `each producer heard within 1.5 s (slowest ${Math.round(slowestMs)} ms)`);
}
