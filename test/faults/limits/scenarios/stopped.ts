// A pod stopped (SIGSTOP) for 30 s with every slot in hand and requests still to send, then continued. Others take over what
// it held; awake again it sends nothing of what it had begun. The short form stops it for 20 s.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitOptions } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { proveNeverOver } from '../judgement.ts';

const SLOTS = 3;
/** Requests with long pauses between them: when it is stopped, nothing is on the wire. */
const WALK = { steps: 100, holdMs: 4_000 };
const LEASE_MS = 15_000;
const GRACE_MS = 1_000;

export function between(careless: readonly Careless[] = []) {
  const terms = { limits: [{ concurrent: SLOTS }], latency: '200ms', timeout: '120s' };
  const fault = careless.length > 0 ? `stopped between requests, ${careless}` : 'stopped between requests';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, terms, async (arena, evidence) => {
      const stoppedMs = options.short ? 20_000 : 30_000;
      const sleeper = await arena.startPod('sleeper', { careless });
      const walks = new Set(await arena.add('alpha', SLOTS, WALK));
      const sent = async () => (await arena.arrivals()).filter(({ job }) => walks.has(job));
      await until('all walk', 20_000, async () => (await sent()).length >= SLOTS);
      const others = await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
      await arena.add('alpha', 3_000);
      await lasts(((await sent()).at(-1)?.at ?? 0) + WALK.holdMs * 0.8 - arena.now());
      const stoppedAt = arena.now();
      sleeper.signal('SIGSTOP');
      const theirs = async () => (await arena.arrivals()).filter(({ pod, at }) => pod !== 'sleeper' && at > stoppedAt);
      await until('others use its slots', 2 * LEASE_MS, async () => (await theirs()).length > 0);
      const afterMs = ((await theirs())[0]?.at ?? Number.POSITIVE_INFINITY) - stoppedAt;
      evidence.prove(
        afterMs <= LEASE_MS + GRACE_MS,
        `others had its slots ${(afterMs / 1_000).toFixed(1)} s after the stop`,
      );
      // They run its walks again by now: slow answers, so that they fill what they hold.
      await arena.upstream.configure({ latency: '10s' });
      await lasts(stoppedAt + stoppedMs + WALK.holdMs - arena.now());

      const wokenAt = arena.now();
      sleeper.signal('SIGCONT');
      // Each walk's next request falls due within this.
      await lasts(WALK.holdMs + 1_000);
      const stale = (await sent()).filter(({ pod, start, at }) => pod === 'sleeper' && start === 1 && at > wokenAt);
      await proveNeverOver(arena, evidence, careless);
      if (careless.length > 0) {
        evidence.prove(stale.length > 0, `twin: it sent ${stale.length} requests for what others had`);
        return;
      }
      evidence.prove(stale.length === 0, `awake again it sent ${stale.length} requests for what it had begun`);
      evidence.prove(!sleeper.exit, 'it is still up');
      await arena.upstream.configure({ latency: '100ms' });
      // The others hand on what they have as long as they live.
      for (const pod of others) pod.signal('SIGTERM');
      await until('the pod that woke works on', 30_000, async () =>
        (await arena.arrivals()).some(
          ({ pod, at, job, start }) => pod === 'sleeper' && at > wokenAt && (start > 1 || !walks.has(job)),
        ),
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
