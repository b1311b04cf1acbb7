// What displaced owners left is adopted by the lane's owner, or dropped, by somebody's journalled order.

import { describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { moveAside, ownedLane } from '../../src/path/aside.ts';
import { adoptDisplaced, dropDisplaced, readDisplacedOwner } from '../../src/path/displaced-orders.ts';
import { listJobs } from '../../src/path/inspect.ts';
import type { EventName } from '../../src/words/events.ts';
import { it, type World } from '../support/world.ts';
import { expire, take } from './leases.ts';
import { keysOf, RETRYING, rejection, untilState } from './looking.ts';

const lane = defineLane({ name: 'publish', ownership: 'exclusive', concurrency: 1 });

/** `count` jobs of cron aside, and one of a service's, while manual has the lane. */
async function left(world: World, count = 3) {
  const laneQueue = world.queue(lane);
  const producer = await world.producer();
  await take(world, lane, 'other');
  await producer.add(lane, 'theirs', { as: 'other' });
  await take(world, lane, 'cron');
  const added = await producer.addMany(
    lane,
    Array.from({ length: count }, (_, n) => ({ payload: n, key: `k${n}` })),
    { as: 'cron' },
  );
  await take(world, lane, 'manual');
  expect(await moveAside(ownedLane(lane, laneQueue, world.keys))).toBe(count + 1);
  const told: { name: EventName; data: unknown }[] = [];
  const append = async (name: EventName, data: unknown) => void told.push({ name, data });
  const order = { laneQueue, lane, keys: world.keys, of: { as: 'cron', by: null }, reason: 'by hand', append };
  return { order, told, laneQueue, ids: added.map(({ id }) => id) };
}

describe('adopt', () => {
  it('makes them the jobs of the owner there is, in their old order, and journals it', async ({ world }) => {
    const { order, told, ids } = await left(world, 250);
    expect(await adoptDisplaced(order)).toBe(250);
    expect(told).toMatchObject([
      { name: 'displaced.ordered', data: { order: 'adopt', total: 250, of: { as: 'cron' }, reason: 'by hand' } },
      { name: 'jobs.adopted', data: { count: 250, to: { as: 'manual' } } },
    ]);
    const ran: unknown[] = [];
    await world.pod([handle(lane, { run: (job) => void ran.push(job.id) })]);
    await vi.waitFor(() => expect(ran).toEqual(ids), RETRYING);
    expect(await listJobs(world.queue(lane), ['parked'], 10)).toMatchObject([{ payload: 'theirs', gate: 'owner' }]);
  });

  it('is refused while nobody owns the lane, and moves nothing', async ({ world }) => {
    const { order, told } = await left(world);
    await expire(world, lane);
    expect(await rejection(adoptDisplaced(order))).toMatchObject({
      code: 'LK_OWNED',
      message: expect.stringContaining('lanekeeper take publish'),
    });
    expect(told).toEqual([]);
    expect(await listJobs(world.queue(lane), ['parked'], 10)).toHaveLength(4);
  });
});

describe('drop', () => {
  it('takes them out with their reservations, and journals it', async ({ world }) => {
    const { order, told, ids } = await left(world, 250);
    expect(await dropDisplaced(order)).toBe(250);
    expect(told).toMatchObject([
      { name: 'displaced.ordered', data: { order: 'drop', total: 250 } },
      { name: 'jobs.dropped', data: { count: 250, reason: 'by hand' } },
    ]);
    const keys = await keysOf(world);
    expect(keys.filter((key) => ids.some((id) => key.includes(id)) || key.includes(':same:'))).toEqual([]);
    expect(await listJobs(world.queue(lane), ['parked'], 10)).toMatchObject([{ payload: 'theirs' }]);
    const again = await (await world.producer()).add(lane, 0, { as: 'manual', key: 'k0' });
    expect(again.isRepeat).toBe(false);
    await world.pod([handle(lane, { run: () => 'done' })]);
    await untilState(world.queue(lane), again.id, 'done');
  });
});

describe('whose', () => {
  it('none are: nothing is changed, nothing is told', async ({ world }) => {
    const { order, told } = await left(world);
    const before = await keysOf(world);
    const of = { as: 'cron', by: 'nobody@nowhere' };
    expect(await adoptDisplaced({ ...order, of })).toBe(0);
    expect(await dropDisplaced({ ...order, of })).toBe(0);
    expect(told).toEqual([]);
    expect(await keysOf(world)).toEqual(before);
  });

  it('is read as a name, or with who it was', () => {
    expect(readDisplacedOwner('cron')).toEqual({ as: 'cron', by: null });
    expect(readDisplacedOwner('cron:ann@desk:1')).toEqual({ as: 'cron', by: 'ann@desk:1' });
    for (const text of ['', ':ann', 'Cron', 'cron:']) expect(() => readDisplacedOwner(text)).toThrow(/^--of: expected/);
  });
});
