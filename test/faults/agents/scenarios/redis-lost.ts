// What Redis may forget while agents act: its scripts (nobody notices), all it knows of agents, itself for a while (killed, and back
// with its AOF but for the last second). Pods go on by themselves, and nobody acts early. Short and long are the same.

import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type FaultOptions, trySignal } from '../../arena.ts';
import { lasts, until } from '../../harness/until.ts';
import { AGENTS, type AgentArena, type Careless, inAgentArena, judgeActs, proveNeverEarly, TAG } from '../arena.ts';
import type { AgentEvidence } from '../evidence.ts';

const JOBS = 60;
const TERMS = { latency: '300ms' };

/** `careless`: every pod, here and below. */
export function scriptsFlushed(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `SCRIPT FLUSH, ${careless}` : 'SCRIPT FLUSH';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, TERMS, async (arena, evidence) => {
      await underLoad(arena, careless);
      for (let n = 0; n < 10; n++) {
        await arena.look.script('FLUSH');
        await lasts(200);
      }
      const count = (what: string) => arena.pods.reduce((sum, pod) => sum + pod.said(what), 0);
      const missed = count('redis.failing');
      if (careless.length > 0) {
        evidence.prove(missed > 0, `twin: pods that are ${careless} missed a script ${missed} times`);
        return;
      }
      evidence.prove(missed === 0, `no pod missed a script (${missed} complaints)`);
      // On a crowded machine a beat may come too late, whatever Redis forgot.
      evidence.figures.push(`${count('attempt.lost')} attempts lost`);
      await proveNeverEarly(arena, evidence);
    });
}

/** Longer than all that follows a crash, until pods act again: what was lost would show. */
const LONG_MS = 6_000;

/** Killed, and back with its AOF but for the last second, in which agents acted. */
export function restarted(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `Redis killed, ${careless}` : 'Redis killed, back without its last second';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, { ...TERMS, cooldownMs: LONG_MS }, async (arena, evidence) => {
      await underLoad(arena, careless, AGENTS.length * 4);
      for (const awayMs of [300, 2_000]) {
        const kept = await untilActed(arena);
        trySignal(arena.redis.pid, 'SIGKILL');
        await lasts(awayMs);
        await truncate(kept.path, kept.bytes);
        await arena.redis.restart();
        await goesOn(arena);
      }
      await judge(arena, evidence, careless);
    });
}

/** What Redis had written a second before some agents had acted: what came after it may be gone with a crash. */
async function untilActed(arena: AgentArena): Promise<{ path: string; bytes: number }> {
  const seen: { path: string; bytes: number; at: number }[] = [];
  const ended = async () => (await arena.arrivals()).filter(({ endedAt }) => endedAt < Number.POSITIVE_INFINITY).length;
  const before = await ended();
  await until('agents act', 20_000, async () => {
    seen.push({ ...(await readAof(arena)), at: arena.now() });
    return (await ended()) >= before + 4;
  });
  const secondAgo = arena.now() - 1_000;
  return seen.findLast(({ at }) => at <= secondAgo) ?? (seen[0] as (typeof seen)[0]);
}

async function readAof({ dataDir }: AgentArena): Promise<{ path: string; bytes: number }> {
  const names = (await readdir(dataDir, { recursive: true })).filter((name) => name.endsWith('.incr.aof'));
  // The last one is written to.
  const [name] = names.sort((one, two) => two.localeCompare(one, 'en', { numeric: true }));
  if (!name) throw new Error(`no AOF in ${dataDir}`);
  const path = join(dataDir, name);
  return { path, bytes: (await stat(path)).size };
}

export function keysLost(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `agent keys lost, ${careless}` : 'agent keys lost';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    inAgentArena(fault, options, TERMS, async (arena, evidence) => {
      await underLoad(arena, careless);
      for (let n = 0; n < 2; n++) {
        const keys = await arena.look.keys(`${arena.keys.upstream(TAG)}agent*`);
        const sets = ['windows', 'idle', 'acting'].map((set) => arena.keys.upstream(TAG) + set);
        await arena.look.del(...keys, ...sets);
        await goesOn(arena);
      }
      const told = arena.pods.reduce((sum, pod) => sum + pod.said('agents.lost'), 0);
      if (careless.length === 0) evidence.prove(told >= 2, `it was told ${told} times`);
      await judge(arena, evidence, careless);
    });
}

async function goesOn(arena: AgentArena): Promise<void> {
  const fromAt = arena.now();
  await until('it goes on by itself', 15_000, async () =>
    (await arena.arrivals()).some(({ at }) => at > fromAt + 1_000),
  );
}

/** Three pods, and acts all the time: some last a third of the cooldown. */
async function underLoad(arena: AgentArena, careless: readonly Careless[], jobs = JOBS): Promise<void> {
  await Promise.all(['a', 'b', 'c'].map((label) => arena.startPod(label, { careless })));
  await arena.add('alpha', jobs);
  await arena.add('beta', jobs / 2);
  await until('a third have come', 30_000, async () => (await arena.arrivals()).length >= jobs / 3);
}

async function judge(arena: AgentArena, evidence: AgentEvidence, careless: readonly Careless[]): Promise<void> {
  if (careless.length === 0) return proveNeverEarly(arena, evidence);
  const early = await judgeActs(arena, evidence);
  evidence.prove(early > 0, `twin: with pods that are ${careless} ${early} acts were early`);
}
