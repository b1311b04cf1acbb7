// The same job is added once: by key, by content, by the lane's own word; within its window, from any number of producers, also
// when it has long ended.

import { describe, expect, vi } from 'vitest';
import { z } from 'zod';
import { dead, defineLane, defineUpstream, handle, type Producer } from '../../src/index.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { dropDead } from '../../src/path/dead-letters.ts';
import { listJobs, showJob } from '../../src/path/inspect.ts';
import type { Lane } from '../../src/path/lane.ts';
import { it, type World } from '../support/world.ts';
import { BY_ANN, gate, RETRYING, rejection, untilState } from './looking.ts';

const open = defineLane({ name: 'open' });
const loose = defineLane({ name: 'loose', dedupe: false });
/** An agent is part of what a job is where it means something. */
const upstream = defineUpstream({ name: 'api', limits: [{ concurrent: 1, by: 'agent' }] });
const content = defineLane({ name: 'content', upstream, dedupe: 'content' });

const standing = async (world: World, lane: Lane) => (await listJobs(world.queue(lane), ['waiting'], 1_000)).length;

function producers(world: World, count: number): Promise<Producer[]> {
  return Promise.all(Array.from({ length: count }, () => world.producer()));
}

describe('a key', () => {
  it('that fifty producers give at once makes one job, and each hears its id', async ({ world }) => {
    const all = await producers(world, 50);
    const added = await Promise.all(all.map((producer) => producer.add(open, { n: 1 }, { key: 'order-7' })));
    expect(new Set(added.map(({ id }) => id)).size).toBe(1);
    expect(added.filter(({ isRepeat }) => !isRepeat)).toHaveLength(1);
    expect(await standing(world, open)).toBe(1);
  });

  it('makes fifty in a lane that dedupes nothing (twin)', async ({ world }) => {
    const all = await producers(world, 50);
    const added = await Promise.all(all.map((producer) => producer.add(loose, { n: 1 }, { key: 'order-7' })));
    expect(new Set(added.map(({ id }) => id)).size).toBe(50);
    expect(await standing(world, loose)).toBe(50);
  });

  it('is the same job with a priority, for an instant, and alone', async ({ world }) => {
    const producer = await world.producer();
    const at = Date.UTC(2040, 0, 1);
    const kinds = [{}, { priority: 5 }, { at }];
    for (const [n, first] of kinds.entries()) {
      const key = `k${n}`;
      const { id, state, startsAt } = await producer.add(open, n, { ...first, key });
      for (const again of kinds) {
        expect(await producer.add(open, n, { ...again, key })).toEqual({ id, state, startsAt, isRepeat: true });
      }
    }
  });

  it('answers with what its job is doing now, and still when that is done, and when it is kept no more', async ({
    world,
  }) => {
    const held = gate();
    await world.pod([handle(open, { run: () => held.opened })]);
    const producer = await world.producer();
    const { id } = await producer.add(open, {}, { key: 'k' });
    const queue = world.queue(open);
    await untilState(queue, id, 'active');
    const again = { id, startsAt: null, isRepeat: true };
    expect(await producer.add(open, {}, { key: 'k' })).toEqual({ ...again, state: 'active' });
    held.open();
    await untilState(queue, id, 'done');
    expect(await producer.add(open, {}, { key: 'k' })).toEqual({ ...again, state: 'done' });
    expect(await producer.addMany(open, [{ payload: {}, key: 'k' }])).toEqual([{ ...again, state: 'done' }]);
    expect(await queue.backend.remove(id, false)).toBe(1);
    expect(await producer.add(open, {}, { key: 'k' })).toEqual({ ...again, state: 'done' });
    expect(await standing(world, open)).toBe(0);
  });

  it('with another payload or agent is refused and writes nothing', async ({ world }) => {
    const producer = await world.producer();
    const open = defineLane({ name: 'open', upstream });
    const { id } = await producer.add(open, { a: 1, b: 2 }, { key: 'k' });
    for (const [payload, agent] of [[{ a: 2, b: 2 }], [{}], [null], [{ a: 1, b: 2 }, 'a01']] as const) {
      const refused = await rejection(producer.add(open, payload, { key: 'k', agent }));
      expect(refused).toMatchObject({ code: 'LK_KEY_TAKEN', message: expect.stringContaining(id) });
    }
    expect(await producer.add(open, { b: 2, a: 1 }, { key: 'k' })).toMatchObject({ id, isRepeat: true });
    expect(await standing(world, open)).toBe(1);
  });

  it('makes a new job when its window is over, though the old one is still kept', async ({ world }) => {
    const brief = defineLane({ name: 'brief', dedupe: { for: '1s' } });
    await world.pod([handle(brief, { run: () => 1 })]);
    const producer = await world.producer();
    const { id } = await producer.add(brief, {}, { key: 'k' });
    await untilState(world.queue(brief), id, 'done');
    const next = await vi.waitFor(async () => {
      const added = await producer.add(brief, {}, { key: 'k' });
      expect(added.isRepeat).toBe(false);
      return added;
    }, RETRYING);
    expect(next.id).not.toBe(id);
    expect(await showJob(world.queue(brief), id)).toMatchObject({ state: 'done' });
  });

  it('of one lane says nothing to another, nor does a key to a content', async ({ world }) => {
    const producer = await world.producer();
    const added = [
      await producer.add(open, 'k', { key: 'k' }),
      await producer.add(content, 'k', { key: 'k' }),
      await producer.add(content, 'k'),
    ];
    expect(added.map(({ isRepeat }) => isRepeat)).toEqual([false, false, false]);
  });

  it('holds after Redis forgot its scripts', async ({ world }) => {
    const producer = await world.producer();
    const { id } = await producer.add(open, {}, { key: 'k' });
    await world.redis.script('FLUSH');
    expect(await producer.add(open, {}, { key: 'k' })).toMatchObject({ id, isRepeat: true });
    expect(await producer.addMany(open, [{ payload: {}, key: 'k' }, { payload: 1 }])).toMatchObject([
      { id, isRepeat: true },
      { isRepeat: false },
    ]);
  });
});

describe('content', () => {
  it('is payload and agent, in any order of fields', async ({ world }) => {
    const [one, other] = (await producers(world, 2)) as [Producer, Producer];
    const { id } = await one.add(content, { a: 1, b: [{ c: 2, d: 3 }] }, { agent: 'a01' });
    expect(await other.add(content, { b: [{ d: 3, c: 2 }], a: 1 }, { agent: 'a01' })).toMatchObject({
      id,
      isRepeat: true,
    });
    expect(await other.add(content, { a: 1, b: [{ c: 2, d: 3 }] }, { agent: 'a02' })).toMatchObject({
      isRepeat: false,
    });
    expect(await other.add(content, { a: 1, b: [{ c: 2, d: 4 }] }, { agent: 'a01' })).toMatchObject({
      isRepeat: false,
    });
    expect(await standing(world, content)).toBe(3);
  });

  it('said twice in one list is one job, and each item hears its id', async ({ world }) => {
    const producer = await world.producer();
    const added = await producer.addMany(content, [
      { payload: { a: 1 } },
      { payload: { b: 2 } },
      { payload: { a: 1 } },
    ]);
    expect(added[2]?.id).toBe(added[0]?.id);
    expect(added.map(({ isRepeat }) => isRepeat)).toEqual([false, false, true]);
    expect(await standing(world, content)).toBe(2);
  });

  it('can be what the lane says it is', async ({ world }) => {
    const payload = z.object({ order: z.number(), note: z.string().optional() });
    const byOrder = defineLane({ name: 'by-order', payload, dedupe: { by: ({ order }) => `o${order}`, for: '1h' } });
    const producer = await world.producer();
    const { id } = await producer.add(byOrder, { order: 7, note: 'first' });
    expect(await producer.add(byOrder, { order: 7, note: 'second' })).toMatchObject({ id, isRepeat: true });
    expect(await producer.add(byOrder, { order: 8 })).toMatchObject({ isRepeat: false });
  });

  it.for([
    [
      'throws',
      () => {
        throw new Error('no order');
      },
      "the lane's function threw: no order",
    ],
    ['answers a number', () => 5, "the lane's function: expected to answer a text, got 5"],
    ['answers nothing', () => '', "the lane's function: expected to answer a text"],
  ] as [string, () => unknown, string][])(
    'of a lane whose function %s is refused, and nothing is written',
    async ([, by, said], { world }) => {
      const odd = defineLane({ name: 'odd', dedupe: by as never });
      const producer = await world.producer();
      expect(await rejection(producer.add(odd, {}))).toMatchObject({
        code: 'LK_INPUT',
        message: expect.stringContaining(said),
      });
      expect(await standing(world, odd)).toBe(0);
    },
  );
});

describe('a job that somebody took out', () => {
  const lanes = { key: open, content };

  it.for(['key', 'content'] as const)('may be added again, known by %s', async (by, { world }) => {
    const lane = lanes[by];
    const queue = world.queue(lane);
    const producer = await world.producer();
    const add = () => producer.add(lane, { n: 1 }, by === 'key' ? { key: 'k' } : {});
    const cancelled = await add();
    await cancelJob(queue, world.keys, cancelled.id);
    const second = await add();
    expect(second).toMatchObject({ isRepeat: false });
    const held = gate();
    const pod = await world.pod([handle(lane, { run: ({ attempt }) => (attempt === 1 ? dead('no') : held.opened) })]);
    await untilState(queue, second.id, 'dead');
    expect(await add(), 'a dead letter may be replayed').toMatchObject({ id: second.id, isRepeat: true });
    await pod.stop('enough', 0);
    await dropDead(queue, second.id, BY_ANN);
    expect(await add()).toMatchObject({ isRepeat: false });
  });

  it('takes nothing from the job that was added after its window', async ({ world }) => {
    const queue = world.queue(open);
    const producer = await world.producer();
    const old = await producer.add(open, 1, { key: 'k' });
    for (const key of await world.redis.keys(`${world.prefix}:l:*:same:*`)) await world.redis.del(key);
    const young = await producer.add(open, 1, { key: 'k' });
    await cancelJob(queue, world.keys, old.id);
    expect(await producer.add(open, 1, { key: 'k' })).toMatchObject({ id: young.id, isRepeat: true });
  });
});
