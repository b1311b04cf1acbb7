// `kill -9` of a pod that holds all there is. With nothing on the wire its slots come back within 15 s; with requests on the
// wire not before those requests' timeout, because nobody knows what became of them. Short and long are the same.

import { lasts, until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitArena, type LimitOptions, type Work } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { proveNeverOver } from '../judgement.ts';
import type { Arrival } from '../upstream-process.ts';

const SLOTS = 3;
const LEASE_MS = 15_000;
const GRACE_MS = 1_000;
const BEATS_MS = 5_000;
/** Long beside the lease: what holds a slot for so long holds it because of the request. */
const TIMEOUT_MS = 20_000;

/** Nothing on the wire: each attempt has had its answer and computes. `careless`: the pod that is killed. */
export function idle(careless: readonly Careless[] = []) {
  return (options: LimitOptions): Promise<LimitEvidence> =>
    withVictim(
      'killed, nothing on the wire',
      options,
      { holdMs: 60_000 },
      '50ms',
      careless,
      async (arena, evidence) => {
        // While the request was there its slot was held for its timeout. The pod's next beats say that it is there no more.
        await lasts(BEATS_MS);
        const { killedAt, full } = await killAndWatch(arena, LEASE_MS + GRACE_MS);
        const what = `all ${SLOTS} slots were in use again`;
        if (careless.length > 0) {
          evidence.promise(full === undefined, `twin: with a pod that was ${careless} they were not within 16 s`);
          return;
        }
        evidence.promise(full !== undefined, `${what} within 16 s of the kill`);
        if (full) evidence.figures.push(`${what} after ${((full - killedAt) / 1_000).toFixed(1)} s`);
      },
    );
}

/** A request on the wire that nobody will read the answer of. */
export function onTheWire(careless: readonly Careless[] = []) {
  return (options: LimitOptions): Promise<LimitEvidence> =>
    withVictim('killed, requests on the wire', options, {}, '60s', careless, async (arena, evidence) => {
      const sent = await arena.arrivals();
      const firstEnd = Math.min(...sent.map(({ at }) => at)) + TIMEOUT_MS;
      const lastEnd = Math.max(...sent.map(({ at }) => at)) + TIMEOUT_MS;
      await arena.upstream.configure({ latency: '100ms' });
      const { full, first } = await killAndWatch(arena, lastEnd - arena.now() + 5_000);
      const early = first === undefined ? Number.NEGATIVE_INFINITY : firstEnd - first.at;
      if (careless.length > 0) {
        evidence.promise(
          early > 0,
          `twin: with a pod that was ${careless} a slot was used ${Math.round(early)} ms too early`,
        );
        return;
      }
      evidence.prove(early <= 0, `no slot was used before its request's timeout had passed`);
      evidence.promise(full !== undefined, `all ${SLOTS} slots were in use again 5 s after it at the latest`);
      if (full) evidence.figures.push(`in use again ${((full - lastEnd) / 1_000).toFixed(1)} s after the last timeout`);
    });
}

/** A pod has every slot; three more have work and wait. */
function withVictim(
  fault: string,
  options: LimitOptions,
  work: Work,
  latency: string,
  careless: readonly Careless[],
  body: (arena: LimitArena, evidence: LimitEvidence) => Promise<void>,
): Promise<LimitEvidence> {
  const terms = { limits: [{ concurrent: SLOTS }], latency, timeout: work.holdMs ? '120s' : `${TIMEOUT_MS}ms` };
  const name = careless.length > 0 ? `${fault}, ${careless}` : fault;
  return inLimitArena(name, options, terms, async (arena, evidence) => {
    await arena.startPod('victim', { careless });
    await arena.add('alpha', SLOTS, work);
    await until('the victim has every slot', 20_000, async () => (await arena.arrivals()).length === SLOTS);
    await Promise.all(['b', 'c', 'd'].map((label) => arena.startPod(label)));
    await arena.add('alpha', 3_000);
    await body(arena, evidence);
    if (careless.length === 0) await proveNeverOver(arena, evidence);
  });
}

async function killAndWatch(arena: LimitArena, withinMs: number) {
  const killedAt = arena.now();
  arena.pods[0]?.signal('SIGKILL');
  const others = async () => (await arena.arrivals()).filter(({ pod, at }) => pod !== 'victim' && at > killedAt);
  const full = await until('all slots are in use', withinMs, async () => fullAt(await others())).catch(() => undefined);
  return { killedAt, full, first: (await others())[0] };
}

/** When as many as there are slots were first under way together. */
function fullAt(arrivals: readonly Arrival[]): number | undefined {
  return arrivals.find(({ at }) => arrivals.filter((one) => one.at <= at && one.endedAt > at).length === SLOTS)?.at;
}
