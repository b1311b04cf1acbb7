// Of two pods that ran one job only the one that holds its lock settles; the other is told, and changes nothing.

import { describe, expect, vi } from 'vitest';
import { dead, defineLane, handle, park, retry } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { it } from '../support/world.ts';
import { gate, RETRYING, untilState } from './looking.ts';

const lane = defineLane({ name: 'held', retry: { attempts: 3, backoff: [0] } });

const ends: Record<'done' | 'dead' | 'retry' | 'park', () => unknown> = {
  done: () => 'mine',
  dead: () => dead('mine'),
  retry: () => retry({ reason: 'mine' }),
  park: () => park({ until: new Date('2040-01-01T00:00:00Z'), reason: 'mine' }),
};

/** What a settle would change. */
const facts = async (queue: LaneQueue, id: string) => ({
  hash: await queue.redis.hgetall(queue.jobKey(id)),
  counts: await queue.backend.getCounts(['wait', 'active', 'delayed', 'completed', 'failed']),
});

describe.for(Object.keys(ends) as (keyof typeof ends)[])('a settle as %s', (kind) => {
  it('by a pod whose lock is another’s now is refused, told, and changes nothing', async ({ world }) => {
    const held = gate();
    const queue = world.queue(lane);
    const pod = await world.pod([handle(lane, { run: () => held.opened.then(ends[kind]) })]);
    const seen = world.record(pod);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(queue, id, 'active');
    await world.redis.set(`${queue.jobKey(id)}:lock`, 'another-pod:0', 'PX', 60_000);
    const before = await facts(queue, id);
    held.open();
    const refused = await vi.waitFor(() => {
      const event = seen.find(({ name }) => name === 'settle.refused');
      expect(event).toBeDefined();
      return event?.data;
    }, RETRYING);
    expect(refused).toMatchObject({ lane: 'held', job: id, attempt: 1, outcome: kind });
    expect(await facts(queue, id)).toEqual(before);
    expect(seen.map(({ name }) => name)).not.toContain('attempt.finished');
  });

  it('by a pod whose lock is gone altogether is refused too', async ({ world }) => {
    const held = gate();
    const queue = world.queue(lane);
    const pod = await world.pod([handle(lane, { run: () => held.opened.then(ends[kind]) })]);
    const seen = world.record(pod);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(queue, id, 'active');
    await world.redis.del(`${queue.jobKey(id)}:lock`);
    held.open();
    await vi.waitFor(() => expect(seen.map(({ name }) => name)).toContain('settle.refused'), RETRYING);
    expect((await showJob(queue, id)).state).not.toMatch(/done|dead|parked|scheduled/);
  });

  it('by the pod that holds the lock stands (twin)', async ({ world }) => {
    const held = gate();
    const queue = world.queue(lane);
    const pod = await world.pod([
      handle(lane, { run: ({ attempt }) => (attempt === 1 ? held.opened.then(ends[kind]) : null) }),
    ]);
    const seen = world.record(pod);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(queue, id, 'active');
    held.open();
    await vi.waitFor(() => expect(seen.map(({ name }) => name)).toContain('attempt.finished'), RETRYING);
    expect(seen.map(({ name }) => name)).not.toContain('settle.refused');
  });
});

it('a lane whose settle was refused goes on with its next job', async ({ world }) => {
  const single = defineLane({ name: 'single', concurrency: 1 });
  const held = gate();
  const queue = world.queue(single);
  await world.pod([handle(single, { run: ({ payload }) => (payload === 'first' ? held.opened : null) })]);
  const producer = await world.producer();
  const first = await producer.add(single, 'first');
  const second = await producer.add(single, 'second');
  await untilState(queue, first.id, 'active');
  await world.redis.set(`${queue.jobKey(first.id)}:lock`, 'another-pod:0', 'PX', 60_000);
  held.open();
  await untilState(queue, second.id, 'done');
});

it('a job that was taken out under its pod is refused, and does not come back', async ({ world }) => {
  const held = gate();
  const queue = world.queue(lane);
  const pod = await world.pod([handle(lane, { run: () => held.opened })]);
  const seen = world.record(pod);
  const { id } = await (await world.producer()).add(lane, null);
  await untilState(queue, id, 'active');
  await world.redis.del(queue.jobKey(id));
  held.open();
  await vi.waitFor(() => expect(seen.map(({ name }) => name)).toContain('settle.refused'), RETRYING);
  expect(await world.redis.exists(queue.jobKey(id))).toBe(0);
});
