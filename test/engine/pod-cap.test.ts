// A pod's cap holds over all its lanes, and a lane's over all its jobs: counted inside the handlers and by who is called.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { RETRYING } from '../path/looking.ts';
import { startUpstream } from '../path/upstream-server.ts';
import { it, type World } from '../support/world.ts';

/** Runs 40 jobs in each of 4 lanes of one upstream and answers the most that ever ran at once, as both sides saw it. */
async function mostAtOnce(world: World, caps: { pod: number; lane: number; pods?: number }) {
  const open = { here: 0, there: 0 };
  const most = { here: 0, there: 0, lane: 0 };
  const enter = (side: 'here' | 'there') => {
    open[side]++;
    most[side] = Math.max(most[side], open[side]);
  };
  const upstream = await startUpstream(world, (response) => {
    enter('there');
    // The count falls before the answer leaves: who has it may send the next.
    setImmediate(() =>
      setImmediate(() => {
        open.there--;
        response.end('{}');
      }),
    );
  });
  const api = defineUpstream({ name: 'api', baseUrl: upstream.url });
  const lanes = ['one', 'two', 'three', 'four'].map((name) =>
    defineLane({ name, upstream: api, concurrency: caps.lane }),
  );
  const producer = await world.producer();
  for (const lane of lanes)
    await producer.addMany(
      lane,
      Array.from({ length: 40 }, () => ({ payload: null })),
    );
  let ran = 0;
  const handlers = lanes.map((lane) => {
    let inLane = 0;
    return handle(lane, {
      run: async (_, ctx) => {
        enter('here');
        most.lane = Math.max(most.lane, ++inLane);
        await (await ctx.fetch('/')).text();
        open.here--;
        inLane--;
        ran++;
      },
    });
  });
  for (let n = 0; n < (caps.pods ?? 1); n++) await world.pod(handlers, { concurrency: caps.pod });
  await vi.waitFor(() => expect(ran).toBe(160), RETRYING);
  return most;
}

describe('the most that ever run at once', () => {
  it.for([1, 3, 7])('are no more than the cap of a pod (%d), whatever its lanes allow', async (pod, { world }) => {
    const { here, there } = await mostAtOnce(world, { pod, lane: 8 });
    expect(here).toBeLessThanOrEqual(pod);
    expect(there).toBeLessThanOrEqual(pod);
    expect(here, 'the cap is used, or the test proves nothing').toBe(pod);
  });

  it('are no more than the cap of a lane, whatever its pod allows', async ({ world }) => {
    const { lane, here } = await mostAtOnce(world, { pod: 64, lane: 2 });
    expect(lane).toBe(2);
    expect(here).toBeLessThanOrEqual(8);
  });

  it('are as many as both pods together allow (twin)', async ({ world }) => {
    const { here } = await mostAtOnce(world, { pod: 2, lane: 8, pods: 2 });
    expect(here).toBeGreaterThan(2);
    expect(here).toBeLessThanOrEqual(4);
  });
});
