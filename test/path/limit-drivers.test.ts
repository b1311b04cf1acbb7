// Two pods whose definitions of one upstream choose different drivers: two drivers would each grant the whole limit, so one pod is
// granted nothing, says why, and goes on when the other has left. The stand-in upstream judges.

import { describe, expect, vi } from 'vitest';
import { checkLimits } from '../../src/doors/cli/doctor/limits.ts';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { explainJob } from '../../src/path/inspect.ts';
import { lookAtLimits } from '../../src/path/limit-look.ts';
import { createSimulator } from '../../src/simulator/index.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { LIMIT_DRIVERS, type LimitDriverName } from '../../src/words/limit.ts';
import { it, type World } from '../support/world.ts';
import { RETRYING } from './looking.ts';

const LIMITS = [{ concurrent: 2 }, { count: 20, per: '1s' }] as const;
const SLOW = { timeout: 20_000, interval: 50 };

/** An upstream that lets everything through, and lanes of pods with one driver each. */
async function open(world: World) {
  const sim = createSimulator({ behaviour: { latency: 300 } });
  world.defer(() => sim.stop());
  const { url } = await sim.start();
  const producer = await world.producer();
  const laneOf = (driver: LimitDriverName) => {
    const upstream = defineUpstream({ name: 'forum', baseUrl: url, limits: { driver, all: LIMITS } });
    return defineLane({ name: driver, upstream });
  };
  // Its state counts as known: the first pod of all waits otherwise.
  await world.redis.hset(world.keys.limits('forum'), 'born', 1);
  return {
    arrivals: (of: LimitDriverName) => sim.log.filter(({ path }) => path === `/${of}`).length,
    verdict: () => sim.judge({ limits: LIMITS }),
    laneOf,
    async start(driver: LimitDriverName) {
      const lane = laneOf(driver);
      const run = async (_: unknown, ctx: { fetch: (path: string) => Promise<unknown> }) =>
        void (await ctx.fetch(`/${driver}`));
      const pod = await world.pod([handle(lane, { run })]);
      const ids: string[] = [];
      for (let index = 0; index < 200; index++) ids.push((await producer.add(lane, null)).id);
      const field = `def:${pod.name}`;
      await vi.waitFor(
        async () => expect(await world.redis.hexists(world.keys.limitDefinitions('forum'), field)).toBe(1),
        SLOW,
      );
      return { pod, lane, ids };
    },
    look: () => lookAtLimits(world.redis, world.keys, laneOf('scripts').upstream as never),
  };
}

async function driftsOf({ redis, keys }: World) {
  const entries = await redis.xrange(keys.journal('forum'), '-', '+');
  return entries.flatMap(([id, fields]) => readBatch(id, fields)).filter(({ what }) => what === 'limit.drift');
}

describe.each(LIMIT_DRIVERS)('beside a pod on %s that was there first', (first) => {
  const second = first === 'scripts' ? 'bottleneck' : 'scripts';

  it('one with the other driver is granted nothing, says so, and goes on when the first has left', async ({
    world,
  }) => {
    const { arrivals, start, look, verdict } = await open(world);
    const one = await start(first);
    await vi.waitFor(() => expect(arrivals(first)).toBeGreaterThan(2), SLOW);
    const other = await start(second);
    const begun = arrivals(first);
    await vi.waitFor(() => expect(arrivals(first)).toBeGreaterThan(begun + 20), SLOW);
    expect(arrivals(second)).toBe(0);
    expect(verdict()).toMatchObject({ clean: true });

    const seen = await look();
    const split = {
      granting: { driver: first, pods: [one.pod.name] },
      waiting: { driver: second, pods: [other.pod.name] },
    };
    expect(seen).toMatchObject({ driver: first, split });
    const says =
      `driver ${first} on ${one.pod.name} and ${second} on ${other.pod.name}: together they would let twice as much ` +
      `through, so ${other.pod.name} gets nothing until ${one.pod.name} stopped`;
    expect(checkLimits([seen])).toMatchObject([{ status: 'fail', says: `pods differ: forum ${says}` }]);
    const why = await explainJob(world.queue(other.lane), other.lane, other.ids.at(-1) ?? '', 1, async () => ({
      limits: seen,
    }));
    expect(why).toMatchObject({ gate: 'limit', untilAt: null, because: expect.stringContaining(says) });
    const sizes = [
      { size: first, pods: [one.pod.name] },
      { size: second, pods: [other.pod.name] },
    ];
    const told = [{ what: 'limit.drift', upstream: 'forum', limit: 'driver', sizes }];
    await vi.waitFor(async () => expect(await driftsOf(world)).toMatchObject(told), RETRYING);

    await one.pod.stop('deploy');
    await vi.waitFor(() => expect(arrivals(second)).toBeGreaterThan(4), SLOW);
    expect(verdict()).toMatchObject({ clean: true });
    expect(await look()).toMatchObject({ driver: second, split: null });
    expect(await driftsOf(world), 'told once').toHaveLength(1);
  });
});

it('without word of who was first both would grant the whole limit (twin)', async ({ world }) => {
  const { start, verdict } = await open(world);
  await start('scripts');
  const forgetting = setInterval(() => void world.redis.hdel(world.keys.limits('forum'), 'driver'), 5);
  world.defer(() => clearInterval(forgetting));
  await start('bottleneck');
  await vi.waitFor(
    () => expect(verdict()).toMatchObject({ clean: false, counts: { concurrent: expect.any(Number) } }),
    SLOW,
  );
});
