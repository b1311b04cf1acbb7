// The upstream answers 429 with Retry-After to one pod: all four stop, and go on when it said. The limit itself has room: what is
// refused is the second of two jobs of one agent, for whom there is one request per hold. So one pod hears of it and no other.

import { until } from '../../harness/until.ts';
import { type Careless, inLimitArena, type LimitArena, type LimitOptions } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';

const TERMS = { limits: [{ count: 20, per: '1s' as const }], latency: '20ms' as const };
/** Both are sent before the first is answered, for its answer says by its headers that no more may come: tickets come in bunches, a second apart. */
const SLOW = '1500ms';
/** What the upstream asks for: whole seconds, so that Retry-After and its ms say the same. */
const HOLD_MS = 3_000;
/** From the answer that said so until every pod knows: some ms by the notice, more where ten processes share two cores. */
const TOLD_MS = 500;

export function held(careless: readonly Careless[] = []) {
  const fault = careless.length > 0 ? `429 with Retry-After, ${careless}` : '429 with Retry-After';
  return (options: LimitOptions): Promise<LimitEvidence> =>
    inLimitArena(fault, options, TERMS, async (arena, evidence) => {
      await arena.startFour({ careless, lanes: ['alpha'] });
      const load = arena.keepAdding('alpha', 10, 250, { priority: 1 });
      let during = 0;
      for (let round = 0; round < (options.short ? 1 : 5); round++) {
        during += await holdOnce(arena, evidence, `agent-${round}`, careless);
      }
      await load.stop();
      if (careless.length === 0) {
        evidence.prove(during === 0, `${during} arrived between ${TOLD_MS} ms after a 429 and the end of its hold`);
      } else evidence.promise(during > 0, `twin: with pods that are ${careless} ${during} arrived during a hold`);
      evidence.promise(
        arena.pods.every((pod) => !pod.exit),
        'no pod died of it',
      );
    });
}

/** How many arrived while nobody should. */
async function holdOnce(
  { add, upstream, arrivals, now }: LimitArena,
  evidence: LimitEvidence,
  agent: string,
  careless: readonly Careless[],
): Promise<number> {
  const since = now();
  const later = async (at: number) => (await arrivals()).filter((one) => one.at > at);
  await until('all four send', 30_000, async () => new Set((await later(since)).map(({ pod }) => pod)).size === 4);
  const turnedAt = now();
  await upstream.configure({
    limits: [...TERMS.limits, { count: 1, per: `${HOLD_MS}ms`, by: 'agent' }],
    latency: SLOW,
  });
  await add('alpha', 2, { agents: [agent] }); // before all others
  const refused = async () => (await later(turnedAt)).filter(({ status }) => status === 429);
  await until('one is refused', 10_000, async () => (await refused()).length > 0);
  await upstream.configure(TERMS);
  await until(
    'the hold is over',
    HOLD_MS + 10_000,
    async () => now() > Math.max(...(await refused()).map(({ at }) => at)) + HOLD_MS,
  );
  const ends = (await refused()).map(({ endedAt }) => endedAt);
  const [firstAt, lastAt] = [Math.min(...ends), Math.max(...ends)];
  const toldAt = firstAt + TOLD_MS;
  const untilAt = lastAt + HOLD_MS;
  const within = (await arrivals()).filter(({ at }) => at > toldAt && at < untilAt - 5);
  if (careless.length > 0) return within.length;
  await until(
    'all four go on',
    15_000,
    async () => new Set((await later(untilAt - 5)).map(({ pod }) => pod)).size === 4,
  );
  const first = (await later(untilAt - 5))[0]?.at ?? Number.NaN;
  evidence.figures.push(`${ends.length} refused, went on ${Math.round(first - untilAt)} ms after the end`);
  return within.length;
}
