// A pod stopped (SIGSTOP) for 30 s with every slot in hand and requests still to send, then continued. Others take over what
// it held; awake again it sends nothing of what it had begun. The short form stops it for 20 s.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitOptions } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { proveNeverOver } from '../judgement.ts';

const SLOTS = 3;
/** As many requests as keep an attempt busy for its whole life, most of it with nothing on the wire. */
const WALK = { steps: 1_000, holdMs: 300 };

export function between(careless: readonly Careless[] = []) {
  const terms = {
    limits: [{ concurrent: SLOTS }, { count: 20, per: '1s' as const }],
    latency: '100ms',
    timeout: '60s',
  };
  const fault = careless.length > 0 ? `stopped between requests, ${careless}` : 'stopped between requests';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, terms, async (arena, evidence) => {
      const stoppedMs = options.short ? 20_000 : 30_000;
      const sleeper = await arena.startPod('sleeper', { careless });
      const walks = new Set(await arena.add('alpha', SLOTS, WALK));
      // Until the leases that its first requests made longer are short again.
      await until('all walk', 20_000, async () => {
        const steps = (await arena.arrivals()).filter(({ job }) => walks.has(job));
        return steps.length >= SLOTS * 10;
      });
      await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
      await arena.add('alpha', 3_000);
      const stoppedAt = arena.now();
      sleeper.signal('SIGSTOP');
      const others = async () => (await arena.arrivals()).filter(({ pod, at }) => pod !== 'sleeper' && at > stoppedAt);
      await until('others use its slots', stoppedMs + 45_000, async () => (await others()).length >= 20);
      await lasts(stoppedAt + stoppedMs - arena.now());

      const wokenAt = arena.now();
      sleeper.signal('SIGCONT');
      await until('time for what it would still send', 15_000, () => arena.now() > wokenAt + 4_000);
      const stale = (await arena.arrivals()).filter(
        ({ pod, job, start, at }) => pod === 'sleeper' && walks.has(job) && start === 1 && at > wokenAt,
      );
      await proveNeverOver(arena, evidence, careless);
      evidence.figures.push(
        `others began ${(((await others())[0]?.at ?? Number.NaN) - stoppedAt) / 1_000} s after the stop`,
      );
      if (careless.length > 0) {
        evidence.prove(stale.length > 0, `twin: it sent ${stale.length} requests for what others had`);
        return;
      }
      evidence.prove(stale.length === 0, `awake again it sent ${stale.length} requests for what it had begun`);
      evidence.prove(!sleeper.exit, 'it is still up');
      await until('the pod that woke works on', 30_000, async () =>
        (await arena.arrivals()).some(({ pod, at, job }) => pod === 'sleeper' && at > wokenAt && !walks.has(job)),
      );
    });
}

/** With requests on the wire that take longer than a lease: their slots are nobody's until they are over. */
export function onTheWire(careless: readonly Careless[] = []) {
  const terms = { limits: [{ concurrent: SLOTS }], latency: '20s', timeout: '30s' };
  const fault =
    careless.length > 0 ? `stopped with requests on the wire, ${careless}` : 'stopped with requests on the wire';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, terms, async (arena, evidence) => {
      const sleeper = await arena.startPod('sleeper', { careless });
      await arena.add('alpha', SLOTS);
      await until('all are on the wire', 20_000, async () => (await arena.arrivals()).length === SLOTS);
      await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
      await arena.add('alpha', 50);
      sleeper.signal('SIGSTOP');
      await arena.upstream.configure({ latency: '100ms' });
      await until('others use its slots', 40_000, async () => (await arena.arrivals()).length >= 2 * SLOTS);
      sleeper.signal('SIGCONT');
      await proveNeverOver(arena, evidence, careless);
    });
}
