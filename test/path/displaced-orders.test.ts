// What displaced owners left is adopted by the lane's owner, or dropped, by somebody's journalled order.

import { afterEach, describe, expect, vi } from 'vitest';
import { createIntentKeeper } from '../../src/engine/intent-keeper.ts';
import { defineLane, handle } from '../../src/index.ts';
import { moveAside, ownedLane } from '../../src/path/aside.ts';
import { adoptDisplaced, dropDisplaced, readDisplacedOwner } from '../../src/path/displaced-orders.ts';
import { listJobs } from '../../src/path/inspect.ts';
import * as intents from '../../src/store/intents.ts';
import type { CrashPoint } from '../../src/words/crash-point.ts';
import { createEventHub } from '../../src/words/events.ts';
import { journalled } from '../support/journalled.ts';
import { it, type World } from '../support/world.ts';
import { expire, take } from './leases.ts';
import { keysOf, RETRYING, rejection, untilState } from './looking.ts';

const dying = vi.hoisted(() => ({ at: '', passes: 0 }));
vi.mock('../../src/words/crash-point.ts', () => ({
  crashPoint(name: CrashPoint) {
    if (name === dying.at && --dying.passes === 0) throw new Error(`died ${name}`);
  },
}));
vi.mock('../../src/store/intents.ts', { spy: true });
afterEach(() => {
  dying.at = '';
});

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
  const order = { laneQueue, lane, keys: world.keys, of: { as: 'cron', by: null }, reason: 'by hand', who: 'ann@desk' };
  return { order, told: () => journalled(world, lane.tag), laneQueue, ids: added.map(({ id }) => id) };
}

describe('adopt', () => {
  it('makes them the jobs of the owner there is, in their old order, and journals it', async ({ world }) => {
    const { order, told, ids } = await left(world, 250);
    expect(await adoptDisplaced(order)).toBe(250);
    expect(await told()).toMatchObject([
      { what: 'displaced.ordered', order: 'adopt', total: 250, of: { as: 'cron' }, reason: 'by hand', who: 'ann@desk' },
      { what: 'jobs.adopted', count: 250, to: { as: 'manual' }, isStopped: false, who: 'ann@desk' },
    ]);
    expect(await world.redis.exists(world.keys.intents(lane.tag))).toBe(0);
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
    expect(await told()).toEqual([]);
    expect(await listJobs(world.queue(lane), ['parked'], 10)).toHaveLength(4);
  });
});

describe('drop', () => {
  it('takes them out with their reservations, and journals it', async ({ world }) => {
    const { order, told, ids } = await left(world, 250);
    expect(await dropDisplaced(order)).toBe(250);
    expect(await told()).toMatchObject([
      { what: 'displaced.ordered', order: 'drop', total: 250 },
      { what: 'jobs.dropped', count: 250, reason: 'by hand', who: 'ann@desk' },
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

describe('whose giver dies between two pages', () => {
  it.for([
    ['adopt', 'before-aside', 1],
    ['adopt', 'before-aside', 3],
    ['adopt', 'after-aside', 2],
    ['drop', 'before-aside', 2],
    ['drop', 'after-aside', 1],
  ] as const)('%s, %s, page %i, is told to have ended, with how far it came', async ([what, at, pass], { world }) => {
    const { order, told, ids } = await left(world, 450);
    Object.assign(dying, { at, passes: pass });
    const give = what === 'adopt' ? adoptDisplaced : dropDisplaced;
    // Nothing of it comes after: the Redis of who gives it answers no more.
    vi.mocked(intents.closeIntent).mockRejectedValueOnce(new Error('gone'));
    await expect(give(order)).rejects.toThrow('died');
    const bySelf = await told();
    expect(bySelf, 'without a keeper nobody tells how it ended (twin)').toMatchObject([{ what: 'displaced.ordered' }]);
    const { redis, keys } = world;
    for (let pod = 0; pod < 2; pod++) {
      await redis.del(keys.beat('intents', 'all'));
      await createIntentKeeper({ who: 'pod-1', redis, keys, events: createEventHub(), ripeMs: 0 }).once();
    }
    // The first page has one of another owner's. What a page dropped is counted behind it.
    const afterPages = (pages: number) => (pages === 0 ? 0 : pages * (what === 'adopt' ? 100 : 200) - 1);
    const lie = ids.length - afterPages(at === 'after-aside' ? pass : pass - 1);
    const [begun, ended, ...more] = await told();
    expect(more).toEqual([]);
    expect(ended).toMatchObject({
      what: what === 'adopt' ? 'jobs.adopted' : 'jobs.dropped',
      operation: begun?.operation,
      who: 'ann@desk',
      reason: 'by hand',
      intent: begun?.intent,
      isStopped: true,
      count: afterPages(at === 'after-aside' && what === 'adopt' ? pass : pass - 1),
      found: expect.stringContaining(`it may have done more; ${lie} of theirs still lie aside`),
    });
    expect(await give(order), 'the same order goes on').toBe(lie);
    expect((await told()).at(-1)).toMatchObject({ count: lie, isStopped: false });
  });
});

describe('whose', () => {
  it('none are: nothing is changed, nothing is told', async ({ world }) => {
    const { order, told } = await left(world);
    const before = await keysOf(world);
    const of = { as: 'cron', by: 'nobody@nowhere' };
    expect(await adoptDisplaced({ ...order, of })).toBe(0);
    expect(await dropDisplaced({ ...order, of })).toBe(0);
    expect(await told()).toEqual([]);
    expect(await keysOf(world)).toEqual(before);
  });

  it('is read as a name, or with who it was', () => {
    expect(readDisplacedOwner('cron')).toEqual({ as: 'cron', by: null });
    expect(readDisplacedOwner('cron:ann@desk:1')).toEqual({ as: 'cron', by: 'ann@desk:1' });
    for (const text of ['', ':ann', 'Cron', 'cron:']) expect(() => readDisplacedOwner(text)).toThrow(/^--of: expected/);
  });
});
