// What Redis may forget while agents act: its scripts (nobody notices), all it knows of agents, itself for a while (killed, and back
// with its AOF). Pods go on by themselves, and nobody acts early. Short and long are the same.

import { type FaultOptions, trySignal } from '../../arena.ts';
import { lasts, until } from '../../harness/until.ts';
import { type AgentArena, type Careless, inAgentArena, judgeActs, proveNeverEarly, TAG } from '../arena.ts';
import type { AgentEvidence } from '../evidence.ts';

const JOBS = 60;

export const scriptsFlushed = (options: FaultOptions): Promise<AgentEvidence> =>
  underLoad('SCRIPT FLUSH', options, [], async (arena, evidence) => {
    for (let n = 0; n < 10; n++) {
      await arena.look.script('FLUSH');
      await lasts(200);
    }
    const count = (what: string) => arena.pods.reduce((sum, pod) => sum + pod.said(what), 0);
    evidence.prove(count('redis.failing') === 0, `no pod missed a script (${count('redis.failing')} complaints)`);
    // On a crowded machine a beat may come too late, whatever Redis forgot.
    evidence.figures.push(`${count('attempt.lost')} attempts lost`);
  });

export const restarted = (options: FaultOptions): Promise<AgentEvidence> =>
  underLoad('Redis killed, back with its AOF', options, [], async (arena) => {
    for (const awayMs of [300, 2_000]) {
      trySignal(arena.redis.pid, 'SIGKILL');
      await lasts(awayMs);
      await arena.redis.restart();
      await goesOn(arena);
    }
  });

/** `careless`: every pod. */
export function keysLost(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `agent keys lost, ${careless}` : 'agent keys lost';
  return (options: FaultOptions): Promise<AgentEvidence> =>
    underLoad(fault, options, careless, async (arena, evidence) => {
      for (let n = 0; n < 2; n++) {
        const keys = await arena.look.keys(`${arena.keys.upstream(TAG)}agent*`);
        const sets = ['windows', 'idle', 'acting'].map((set) => arena.keys.upstream(TAG) + set);
        await arena.look.del(...keys, ...sets);
        await goesOn(arena);
      }
      const told = arena.pods.reduce((sum, pod) => sum + pod.said('agents.lost'), 0);
      if (careless.length === 0) evidence.prove(told >= 2, `it was told ${told} times`);
    });
}

async function goesOn(arena: AgentArena): Promise<void> {
  const fromAt = arena.now();
  await until('it goes on by itself', 15_000, async () =>
    (await arena.arrivals()).some(({ at }) => at > fromAt + 1_000),
  );
}

/** Three pods, and acts all the time: some last a third of the cooldown. */
function underLoad(
  fault: string,
  options: FaultOptions,
  careless: readonly Careless[],
  body: (arena: AgentArena, evidence: AgentEvidence) => Promise<void>,
): Promise<AgentEvidence> {
  return inAgentArena(fault, options, { latency: '300ms' }, async (arena, evidence) => {
    await Promise.all(['a', 'b', 'c'].map((label) => arena.startPod(label, { careless })));
    await arena.add('alpha', JOBS);
    await arena.add('beta', JOBS / 2);
    await until('twenty have come', 30_000, async () => (await arena.arrivals()).length >= 20);
    await body(arena, evidence);
    if (careless.length > 0) {
      const early = await judgeActs(arena, evidence);
      evidence.prove(early > 0, `twin: with pods that are ${careless} ${early} acts were early`);
      return;
    }
    await proveNeverEarly(arena, evidence);
  });
}
