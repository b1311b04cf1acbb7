// How jobs get in: everything is checked before anything is written, and what is told is what stands in Redis.

import { describe, expect, vi } from 'vitest';
import { z } from 'zod';
import { defineLane, defineUpstream, handle, type Producer } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import { it } from '../support/world.ts';
import { keysOf, rejection, untilState } from './looking.ts';

const lane = defineLane({ name: 'intake', payload: z.object({ n: z.number() }) });
const open = defineLane({ name: 'open' });
const api = defineUpstream({ name: 'api', limits: [{ concurrent: 1, by: 'agent' }] });

describe('a job that is added', () => {
  it('stands in the lane as it was given, and its id, state and start are told', async ({ world }) => {
    const producer = await world.producer();
    const at = Date.UTC(2040, 0, 1);
    const lane = defineLane({ name: 'intake', upstream: api, payload: z.object({ n: z.number() }) });
    const now = await producer.add(lane, { n: 1 }, { agent: 'a01', priority: 3, key: 'order-7' });
    const later = await producer.add(lane, { n: 2 }, { at: new Date(at) });
    expect(now).toEqual({ id: expect.stringMatching(/^j/), state: 'waiting', startsAt: null, isRepeat: false });
    expect(later).toEqual({ id: expect.stringMatching(/^j/), state: 'scheduled', startsAt: at, isRepeat: false });
    const queue = world.queue(lane);
    expect(await showJob(queue, now.id)).toMatchObject({
      state: 'waiting',
      payload: { n: 1 },
      agent: 'a01',
      key: 'order-7',
      priority: 3,
      attempt: 1,
    });
    expect(await showJob(queue, later.id)).toMatchObject({
      state: 'scheduled',
      payload: { n: 2 },
      agent: null,
      key: null,
    });
  });

  it('for an instant that has passed waits, as one for now', async ({ world }) => {
    const producer = await world.producer();
    expect(await producer.add(open, {}, { at: 5 })).toMatchObject({ state: 'waiting', startsAt: null });
    expect(await producer.add(open, {}, { at: '2020-01-31T08:00:00Z' })).toMatchObject({ state: 'waiting' });
  });

  it('is stored as sent: the defaults of its schema are filled in once, at the pod', async ({ world }) => {
    const withDefault = defineLane({ name: 'defaults', payload: z.object({ n: z.number().default(7) }) });
    const producer = await world.producer();
    const { id } = await producer.add(withDefault, {});
    expect(await showJob(world.queue(withDefault), id)).toMatchObject({ payload: {} });
    const seen: unknown[] = [];
    await world.pod([handle(withDefault, { run: ({ payload }) => void seen.push(payload) })]);
    await untilState(world.queue(withDefault), id, 'done');
    expect(seen).toEqual([{ n: 7 }]);
  });
});

describe('the order', () => {
  it('is by priority, 0 first, and within one by time; the lane says what a job is that says nothing', async ({
    world,
  }) => {
    const ordered = defineLane({ name: 'ordered', priority: 5, concurrency: 1 });
    const producer = await world.producer();
    const priorities = [9, undefined, 0, 2, undefined, 0, 9];
    for (const [n, priority] of priorities.entries()) await producer.add(ordered, n, { priority });
    const ran: unknown[] = [];
    await world.pod([handle(ordered, { run: ({ payload }) => void ran.push(payload) })]);
    await vi.waitFor(() => expect(ran).toHaveLength(priorities.length), { timeout: 10_000, interval: 20 });
    expect(ran).toEqual([2, 5, 3, 1, 4, 0, 6]);
  });

  it('of many added at once is theirs', async ({ world }) => {
    const one = defineLane({ name: 'one-by-one', concurrency: 1 });
    const producer = await world.producer();
    const items = Array.from({ length: 50 }, (_, n) => ({ payload: n, priority: n === 49 ? 0 : 1 }));
    const added = await producer.addMany(one, items);
    expect(new Set(added.map(({ id }) => id)).size).toBe(50);
    const ran: unknown[] = [];
    await world.pod([handle(one, { run: ({ payload }) => void ran.push(payload) })]);
    await vi.waitFor(() => expect(ran).toHaveLength(50), { timeout: 10_000, interval: 20 });
    expect(ran).toEqual([49, ...Array.from({ length: 49 }, (_, n) => n)]);
  });
});

describe('a wrong option', () => {
  it.for([
    [{ prio: 5 }, '"prio": expected one of agent, priority, key, at'],
    [{ agent: '' }, 'agent: expected'],
    [{ agent: 'two words' }, 'agent: expected'],
    [{ agent: 5 }, 'agent: expected'],
    [{ agent: 'x'.repeat(129) }, 'agent: expected'],
    [{ priority: -1 }, 'priority: expected'],
    [{ priority: 1.5 }, 'priority: expected'],
    [{ priority: '1' }, 'priority: expected'],
    [{ priority: 2 ** 21 }, 'priority: expected'],
    [{ key: '' }, 'key: expected'],
    [{ key: 'x'.repeat(257) }, 'key: expected'],
    [{ key: 7 }, 'key: expected'],
    [{ at: 'tomorrow' }, 'at: expected'],
    [{ at: '2030-01-31T08:00:00' }, 'at: expected'],
    [{ at: Number.NaN }, 'at: expected'],
    [{ at: -1 }, 'at: expected'],
    [{ at: new Date('x') }, 'at: expected'],
    [null, 'expected'],
    [5, 'expected'],
  ] as const)('%j is named, and nothing is written', async ([options, said], { world }) => {
    const producer = await world.producer();
    const refused = await rejection(producer.add(lane, { n: 1 }, options as never));
    expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringContaining(said) });
    expect(refused.message).not.toContain('\n');
    expect(await keysOf(world)).toEqual([]);
  });

  it('is also a lane that is none', async ({ world }) => {
    const producer = await world.producer();
    for (const notLane of [undefined, 'publish', {}, { name: 'publish' }]) {
      expect(await rejection(producer.add(notLane as never, {}))).toMatchObject({ code: 'LK_INPUT' });
      expect(await rejection(producer.addMany(notLane as never, [{ payload: {} }]))).toMatchObject({
        code: 'LK_INPUT',
      });
    }
  });
});

describe('many at once', () => {
  it('are refused as a whole when one of a thousand is wrong, by its index and field, and nothing is written', async ({
    world,
  }) => {
    const producer = await world.producer();
    const items = Array.from({ length: 1_000 }, (_, n) => ({ payload: { n: n === 613 ? ('x' as never) : n } }));
    const refused = await rejection(producer.addMany(lane, items));
    expect(refused.code).toBe('LK_INPUT');
    expect(refused.message).toMatch(/^1 of 1000 items refused, none added: \[613\] .*payload\.n: /);
    expect(await keysOf(world)).toEqual([]);
  });

  it('are told every wrong one up to ten, and how many more there are', async ({ world }) => {
    const producer = await world.producer();
    const items = Array.from({ length: 12 }, () => ({ payload: { n: 'x' as never } }));
    const { message } = await rejection(producer.addMany(lane, [{ payload: { n: 1 } }, ...items]));
    expect(message).toMatch(/^12 of 13 items refused, none added: \[1\] .*\[10\] .*; and 2 more$/);
  });

  it('name a wrong option by index too', async ({ world }) => {
    const producer = await world.producer();
    const items = [{ payload: { n: 1 } }, { payload: { n: 1 }, agent: 'no no' }, null, { payload: { n: 1 }, when: 5 }];
    const { message } = await rejection(producer.addMany(lane, items as never));
    for (const part of ['[1] agent: expected', '[2]', '[3] "when": expected one of']) expect(message).toContain(part);
    expect(await keysOf(world)).toEqual([]);
  });

  it('are at least one and at most ten thousand', async ({ world }) => {
    const producer: Producer = await world.producer();
    const tooMany = Array.from({ length: 10_001 }, () => ({ payload: { n: 1 } }));
    for (const items of [[], tooMany, undefined, {}, 'x']) {
      expect(await rejection(producer.addMany(lane, items as never))).toMatchObject({
        code: 'LK_INPUT',
        message: expect.stringMatching(/^items: expected a list of 1 to 10000, got /),
      });
    }
    expect(await keysOf(world)).toEqual([]);
  });
});
