// What a beat looks at of what waits in an exclusive lane: all of it once for each token, and after that the heads of its lines alone,
// however much waits; what somebody put there by hand is found where it would run next.

import { describe, expect, vi } from 'vitest';
import { createAsideMover } from '../../src/engine/aside.ts';
import { defineLane } from '../../src/index.ts';
import type { Lane } from '../../src/path/lane.ts';
import * as pages from '../../src/store/ownership/aside.ts';
import { createEventHub } from '../../src/words/events.ts';
import { take } from '../path/leases.ts';
import { it, type World } from '../support/world.ts';

vi.mock('../../src/store/ownership/aside.ts', { spy: true });

const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
const draining = defineLane({ name: 'publish', ownership: 'exclusive', displaced: 'drain' });
const HEADS = 4; // wait, prioritized, delayed, aside

async function feed(world: World, as: string, count: number, options = {}): Promise<void> {
  const items = Array.from({ length: count }, (_, n) => ({ payload: n, ...options }));
  await (await world.producer()).addMany(lane, items, { as });
}

/** One beat of a pod that may look at the heads again; answers how many pages it asked for. */
async function beat(world: World, { of = lane as Lane, isHeadDue = true } = {}): Promise<number> {
  const { redis, keys } = world;
  for await (const found of redis.scanStream({ match: `${keys.beat('aside', '*')}` }))
    if (found.length > 0) await redis.del(...(found as string[]));
  if (isHeadDue) await redis.del(keys.beat('aside-head', lane.name));
  else await redis.set(keys.beat('aside-head', lane.name), 'another');
  const quiet = { on() {}, stop() {} };
  const lanes = [{ lane: of, laneQueue: world.queue(of) }];
  vi.mocked(pages.asidePage).mockClear();
  vi.mocked(pages.backPage).mockClear();
  await createAsideMover({ pod: 'p', redis, keys, notices: quiet, events: createEventHub(), lanes }).once();
  return vi.mocked(pages.asidePage).mock.calls.length + vi.mocked(pages.backPage).mock.calls.length;
}

const lieAside = ({ redis, keys }: World) => redis.zcard(keys.aside(lane));

describe('while nothing changes hands', () => {
  it.for([10, 1_500])(
    'the heads of the lines are looked at, with %i jobs in line as with any other number',
    async (count, { world }) => {
      await take(world, lane, 'cron');
      await feed(world, 'cron', count);
      expect(await beat(world), 'all of it, once').toBeGreaterThanOrEqual(HEADS);
      expect(await beat(world)).toBe(HEADS);
      expect(await beat(world, { isHeadDue: false }), 'and that not with each beat').toBe(0);
    },
  );

  it('all is walked again when another takes the lane, or what becomes of the displaced (twin)', async ({ world }) => {
    await take(world, lane, 'cron');
    await feed(world, 'cron', 1_500);
    await beat(world);
    await take(world, lane, 'manual');
    expect(await beat(world, { isHeadDue: false })).toBeGreaterThan(15);
    expect(await lieAside(world)).toBe(1_500);
    expect(await beat(world, { of: draining, isHeadDue: false })).toBeGreaterThan(15);
    expect(await lieAside(world)).toBe(0);
  });

  it.for([
    ['waiting', {}],
    ['with a priority', { priority: 3 }],
    ['scheduled', { at: new Date(Date.now() + 3_600_000) }],
  ] as const)(
    'what slipped in %s is found at the head of its line, with all behind it',
    async ([_, options], { world }) => {
      await take(world, lane, 'cron');
      await feed(world, 'cron', 250, options);
      const token = await take(world, lane, 'manual');
      await feed(world, 'manual', 20, options);
      // As if all had been looked at before they came.
      await world.redis.set(world.keys.asideDone(lane), `${token} park`);
      await beat(world, { isHeadDue: false });
      expect(await lieAside(world)).toBe(0);
      await beat(world);
      expect(await lieAside(world)).toBe(250);
      expect(await beat(world)).toBe(HEADS);
    },
  );
});
