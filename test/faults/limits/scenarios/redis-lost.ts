// What Redis may forget, under load: its scripts (nobody notices), everything (over nothing from 10 s on, and here, where the
// windows are shorter, never), itself for a while (killed, and back with its AOF). Pods go on by themselves.

import { trySignal } from '../../arena.ts';
import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitArena, type LimitOptions } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { count, proveNeverOver } from '../judgement.ts';

const TERMS = { limits: [{ concurrent: 3 }, { count: 20, per: '1s' as const }], latency: '100ms' };
/** From then on nothing may be over, however long the windows are. */
const CLOSED_MS = 10_000;
const SOON_MS = 5_000;

export function scriptsFlushed(options: LimitOptions): Promise<LimitEvidence> {
  return underLoad('SCRIPT FLUSH', options, [], async (arena, evidence) => {
    const { look, pods } = arena;
    const flushes = options.short ? 10 : 50;
    const fromText = await callsOf(look, 'eval');
    for (let n = 0; n < flushes; n++) {
      await look.script('FLUSH');
      await lasts(200);
    }
    const again = (await callsOf(look, 'eval')) - fromText;
    evidence.promise(again >= flushes / 2, `${flushes} x SCRIPT FLUSH: scripts were sent anew ${again} times`);
    const failing = pods.reduce((sum, pod) => sum + pod.said('redis.failing') + pod.said('attempt.lost'), 0);
    evidence.promise(failing === 0, 'no pod complained');
    await proveNeverOver(arena, evidence);
  });
}

export function flushed(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `FLUSHALL, ${careless}` : 'FLUSHALL';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    underLoad(fault, options, careless, async (arena, evidence) => {
      await arena.look.flushall();
      const flushedAt = arena.now();
      await goesOn(arena, evidence, flushedAt, CLOSED_MS + SOON_MS);
      await lasts(options.short ? 3_000 : 20_000);
      if (careless.length === 0) {
        const { over } = await count(arena.upstream, { limits: TERMS.limits, fromAt: flushedAt + CLOSED_MS });
        evidence.prove(over === 0, `nothing was over from 10 s after FLUSHALL on (${over})`);
      }
      await proveNeverOver(arena, evidence, careless);
    });
}

export function restarted(options: LimitOptions): Promise<LimitEvidence> {
  return underLoad('Redis killed, back with its AOF', options, [], async (arena, evidence) => {
    for (const awayMs of options.short ? [1_500] : [300, 1_500, 8_000]) {
      trySignal(arena.redis.pid, 'SIGKILL');
      await lasts(awayMs);
      await arena.redis.restart();
      await goesOn(arena, evidence, arena.now(), 2 * SOON_MS);
      await lasts(3_000);
    }
    await proveNeverOver(arena, evidence);
  });
}

/** Four pods, and twice the work that the limits let through, added all the time. */
function underLoad(
  fault: string,
  options: LimitOptions,
  careless: readonly Careless[],
  body: (arena: LimitArena, evidence: LimitEvidence) => Promise<void>,
): Promise<LimitEvidence> {
  return inLimitArena(fault, options, TERMS, async (arena, evidence) => {
    await arena.startFour({ careless, lanes: ['alpha'] });
    const load = arena.keepAdding('alpha', 10, 250);
    await until('forty have arrived', 30_000, async () => (await arena.arrivals()).length >= 40);
    await body(arena, evidence);
    await load.stop();
    evidence.promise(
      arena.pods.every((pod) => !pod.exit),
      'no pod died of it',
    );
  });
}

async function goesOn(arena: LimitArena, evidence: LimitEvidence, fromAt: number, withinMs: number): Promise<void> {
  const later = async () => (await arena.arrivals()).filter(({ at }) => at > fromAt + 500);
  await until('it goes on by itself', withinMs, async () => (await later()).length >= 20);
  evidence.figures.push(`went on after ${Math.round(((await later())[0]?.at ?? Number.NaN) - fromAt)} ms`);
}

async function callsOf(redis: LimitArena['look'], command: string): Promise<number> {
  const line = new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(await redis.info('commandstats'));
  return Number(line?.[1] ?? 0);
}
