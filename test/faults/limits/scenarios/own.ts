// Limits that only the job decides, while pods die and stop and Redis forgets: tokens, of which the upstream keeps the record and
// this file the sum, and what an agent may do, which the upstream enforces and judges.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitArena, type LimitOptions, type TokenLimit } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { mostTokens, proveNeverOver, proveTokensNeverOver } from '../judgement.ts';
import { measureUse, toMs } from '../upstream-process.ts';

const CLOSED_MS = 10_000;
const AGENTS = ['a01', 'a02', 'a03', 'a04', 'a05', 'a06'];

const named = (fault: string, careless: readonly Careless[]) => (careless.length > 0 ? `${fault}, ${careless}` : fault);

/** Four pods with many calls in flight, each a little cheaper than expected; one is killed in the middle of some. */
export function tokens(per: TokenLimit['per'], careless: readonly Careless[] = []) {
  const perMs = toMs(per);
  // Some 25 calls at once, by their estimate, in each second of the interval.
  const limit = { tokens: 2 * perMs, per };
  const terms = { limits: [], tokens: limit, latency: '700ms', timeout: '4s' };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named(`tokens per ${per}, one pod killed`, careless), options, terms, async (arena, evidence) => {
      const [victim] = await arena.startFour({ careless, lanes: ['alpha'] });
      const load = arena.keepAdding('alpha', 20, 250, { estimate: 80, tokens: 60 });
      const sentBy = async (pod: string) => (await arena.arrivals()).filter((one) => one.pod === pod);
      const underWay = async () => (await sentBy('a')).filter(({ endedAt }) => endedAt === Number.POSITIVE_INFINITY);
      await until('the victim has calls under way', 60_000, async () => (await underWay()).length > 0);
      victim?.signal('SIGKILL');
      const killedAt = arena.now();
      await lasts(options.short ? 8_000 : 20_000 + perMs);
      await load.stop();
      const arrivals = await arena.arrivals();
      await proveTokensNeverOver(arena, evidence, careless);
      if (careless.length > 0) return;
      const later = arrivals.filter(({ at }) => at > killedAt + perMs);
      const pods = new Set(later.map(({ pod }) => pod)).size;
      evidence.promise(options.short || pods === 3, `the others went on: ${later.length} calls of ${pods} pods`);
      const share = mostTokens(arrivals, limit) / limit.tokens;
      evidence.figures.push(`${(share * 100).toFixed(0)} % of the tokens in the fullest interval`);
    });
}

/** One pod has all tokens, by estimate, and dies: nobody knows what it used, so all of it counts as used. */
export function tokensOfTheDead(careless: readonly Careless[] = []) {
  const [CALLS, EACH, TIMEOUT_MS, PER_MS] = [10, 100, 4_000, 4_000];
  const limit = { tokens: CALLS * EACH, per: '4s' as const };
  const terms = { limits: [], tokens: limit, latency: '60s', timeout: `${TIMEOUT_MS}ms` };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named('killed with all tokens', careless), options, terms, async (arena, evidence) => {
      const victim = await arena.startPod('victim', { careless });
      await arena.add('alpha', CALLS, { estimate: EACH, tokens: EACH });
      await until('all calls are under way', 30_000, async () => (await arena.arrivals()).length === CALLS);
      victim.signal('SIGKILL');
      const firstAt = (await arena.arrivals())[0]?.at ?? Number.NaN;
      await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
      await arena.upstream.configure({ latency: '200ms' });
      await arena.add('alpha', 100, { estimate: EACH, tokens: EACH });
      const others = async () => (await arena.arrivals()).filter(({ pod }) => pod !== 'victim');
      await until('the others go on', 60_000, async () => (await others()).length >= CALLS);
      const earlyMs = firstAt + TIMEOUT_MS + PER_MS - ((await others())[0]?.at ?? Number.NaN);
      if (careless.length > 0) {
        evidence.promise(earlyMs > 0, `twin: the others went on ${Math.round(earlyMs)} ms before it was surely over`);
        return;
      }
      // A take comes a little before its call arrives.
      evidence.prove(earlyMs < 1_000, 'its estimates counted until its calls and an interval were surely over');
      evidence.figures.push(`went on ${Math.round(-earlyMs)} ms after that`);
      await proveTokensNeverOver(arena, evidence);
    });
}

/** Everything is forgotten, what calls under way will use included. */
export function tokensFlushed(careless: readonly Careless[] = []) {
  const limit = { tokens: 2_000, per: '3s' as const };
  const terms = { limits: [], tokens: limit, latency: '1s', timeout: '10s' };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named('FLUSHALL, tokens', careless), options, terms, async (arena, evidence) => {
      await arena.startFour({ careless, lanes: ['alpha'] });
      const load = arena.keepAdding('alpha', 10, 250, { estimate: 80, tokens: 80 });
      await until('forty have arrived', 60_000, async () => (await arena.arrivals()).length >= 40);
      await arena.look.flushall();
      const flushedAt = arena.now();
      const later = async () => (await arena.arrivals()).filter(({ at }) => at > flushedAt + 500);
      await until('it goes on by itself', CLOSED_MS + 20_000, async () => (await later()).length >= 20);
      await lasts(options.short ? 5_000 : 20_000);
      await load.stop();
      // Its interval is shorter than what may be over after it: nothing is, at any time.
      await proveTokensNeverOver(arena, evidence, careless);
    });
}

/** Six agents, one request of each at a time and so many in an interval; one pod is killed, one stopped and continued. */
export function agents(careless: readonly Careless[] = []) {
  const limits = [
    { concurrent: 1, by: 'agent' as const },
    { count: 6, per: '2s' as const, by: 'agent' as const },
  ];
  const terms = { limits, latency: '150ms', timeout: '6s' };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named('by agent, one pod killed, one stopped', careless), options, terms, async (arena, evidence) => {
      const [killed, stopped] = await arena.startFour({ careless, lanes: ['alpha'] });
      const load = arena.keepAdding('alpha', 18, 500, { agents: AGENTS, steps: 2 });
      await until(
        'all pods act',
        60_000,
        async () => new Set((await arena.arrivals()).map(({ pod }) => pod)).size === 4,
      );
      killed?.signal('SIGKILL');
      stopped?.signal('SIGSTOP');
      await lasts(20_000);
      stopped?.signal('SIGCONT');
      const wokenAt = arena.now();
      await lasts(options.short ? 5_000 : 20_000);
      await load.stop();
      await proveNeverOver(arena, evidence, careless);
      if (careless.length > 0) return;
      const after = (await arena.arrivals()).filter(({ at }) => at > wokenAt);
      const acting = new Set(after.map(({ agent }) => agent)).size;
      evidence.promise(
        acting === AGENTS.length,
        `${acting} of ${AGENTS.length} agents went on, with ${after.length} requests`,
      );
      evidence.promise(!stopped?.exit, 'the pod that was stopped is still up');
    });
}

/** Stopped between two requests for longer than its lease: awake again it sends nothing, for its agents act through others by now. */
export function agentsOfTheStopped(careless: readonly Careless[] = []) {
  const WALK = { steps: 100, holdMs: 4_000, agents: AGENTS };
  const STOPPED_MS = 20_000;
  const terms = { limits: [{ concurrent: 1, by: 'agent' as const }], latency: '200ms', timeout: '120s' };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named('by agent, stopped between requests', careless), options, terms, async (arena, evidence) => {
      const sleeper = await arena.startPod('sleeper', { careless });
      await arena.add('alpha', AGENTS.length, WALK);
      const sent = (from: number) => sentSince(arena, from);
      await until('all walk', 30_000, async () => (await sent(0)).length >= AGENTS.length);
      await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
      await arena.add('alpha', 60, { agents: AGENTS });
      await lasts(((await sent(0)).at(-1)?.at ?? 0) + WALK.holdMs * 0.8 - arena.now());
      const stoppedAt = arena.now();
      sleeper.signal('SIGSTOP');
      // Slow, so that its agents are busy elsewhere when it wakes.
      await arena.upstream.configure({ latency: '20s' });
      await lasts(STOPPED_MS);
      const takenOver = new Set((await sent(stoppedAt)).map(({ agent }) => agent)).size;
      const wokenAt = arena.now();
      sleeper.signal('SIGCONT');
      await lasts(WALK.holdMs + 1_000);
      const stale = (await sent(wokenAt)).filter(({ pod, start }) => pod === 'sleeper' && start === 1);
      await proveNeverOver(arena, evidence, careless);
      if (careless.length > 0) return;
      evidence.promise(takenOver > 0, `others acted for ${takenOver} of its agents while it was stopped`);
      evidence.prove(stale.length === 0, `awake again it sent ${stale.length} requests of what it had begun`);
      evidence.promise(!sleeper.exit, 'it is still up');
    });
}

/** One agent has used its count for a minute, with attempts in mid-way and a thousand jobs ahead of everybody else's. */
export function agentUsedUp(careless: readonly Careless[] = []) {
  const SLOTS = 3;
  const FOR_MS = 8_000;
  const limits = [{ concurrent: SLOTS }, { count: SLOTS, per: '1m' as const, by: 'agent' as const }];
  const terms = { limits, latency: '100ms', timeout: '90s' };
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(named('an agent that is used up', careless), options, terms, async (arena, evidence) => {
      await arena.add('alpha', 1_000, { agents: ['used-up'], steps: 2 });
      await arena.startFour({ careless, lanes: ['alpha'] });
      await until('it is used up', 60_000, async () => (await arena.arrivals()).length === SLOTS);
      const cameAt = arena.now();
      const others = Array.from({ length: 600 }, (_, n) => `b${n}`);
      await arena.add('alpha', others.length, { agents: others });
      const sent = async () => (await arena.arrivals()).filter(({ agent }) => agent !== 'used-up');
      const first = await until('others act', 30_000, async () => (await sent())[0]).catch(() => undefined);
      const fromAt = first?.at ?? arena.now();
      await lasts(fromAt + FOR_MS - arena.now());
      const share = measureUse(await sent(), { concurrent: SLOTS }, fromAt, fromAt + FOR_MS);
      const percent = (share * 100).toFixed(1);
      if (careless.length > 0) {
        evidence.promise(share < 0.1, `twin: with pods that are ${careless} others used ${percent} % of the allowance`);
        return;
      }
      evidence.goodput = share;
      evidence.figures.push(`others acted ${Math.round(fromAt - cameAt)} ms after they came`);
      evidence.promise(share > 0.25, `other agents used ${percent} % of the allowance`);
      await proveNeverOver(arena, evidence);
    });
}

async function sentSince({ arrivals }: LimitArena, from: number) {
  return (await arrivals()).filter(({ at }) => at > from);
}
