// When a lane fetches: when there is work and room, not while it is paused, never before an instant, and each job once.

import { describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { gate, RETRYING, untilState } from './looking.ts';
import { adminOf, privateRedis } from './private-redis.ts';

const lane = defineLane({ name: 'source' });

describe('a lane', () => {
  it('that is idle runs what is added, again and again', async ({ world }) => {
    const ran: unknown[] = [];
    await world.pod([handle(lane, { run: ({ payload }) => void ran.push(payload) })]);
    const producer = await world.producer();
    for (let n = 0; n < 20; n++) {
      const { id } = await producer.add(lane, n, { priority: n % 3 });
      await untilState(world.queue(lane), id, 'done');
    }
    expect(ran).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('that is paused runs nothing until it is resumed', async ({ world }) => {
    const other = defineLane({ name: 'other' });
    const run = vi.fn(() => null);
    const queue = world.queue(lane);
    await queue.queue.pause();
    await world.pod([handle(lane, { run }), handle(other, { run: () => null })]);
    const producer = await world.producer();
    const { id } = await producer.add(lane, null);
    const beside = await producer.add(other, null);
    await untilState(world.queue(other), beside.id, 'done');
    await untilState(queue, id, 'waiting');
    expect(run).not.toHaveBeenCalled();
    await queue.queue.resume();
    await untilState(queue, id, 'done');
  });

  it('runs what was added for an instant not before it, and an earlier one that was added later first', async ({
    world,
  }) => {
    const startedAt: Record<string, number> = {};
    await world.pod([
      handle(lane, { run: ({ payload }) => void Object.assign(startedAt, { [String(payload)]: Date.now() }) }),
    ]);
    const producer = await world.producer();
    const now = Date.now();
    const due = { late: now + 700, soon: now + 200 };
    const late = await producer.add(lane, 'late', { at: due.late });
    await producer.add(lane, 'soon', { at: due.soon });
    await untilState(world.queue(lane), late.id, 'done');
    expect(Object.keys(startedAt)).toEqual(['soon', 'late']);
    expect(startedAt.soon).toBeGreaterThanOrEqual(due.soon);
    expect(startedAt.late).toBeGreaterThanOrEqual(due.late);
  });

  it('of many pods runs each job once', async ({ world }) => {
    const runs = new Map<string, number>();
    const run = ({ id }: { id: string }) => void runs.set(id, (runs.get(id) ?? 0) + 1);
    for (let n = 0; n < 4; n++) await world.pod([handle(lane, { run })]);
    const producer = await world.producer();
    const added = await producer.addMany(
      lane,
      Array.from({ length: 1_000 }, () => ({ payload: null })),
    );
    await vi.waitFor(() => expect(runs.size).toBe(1_000), RETRYING);
    expect([...runs.values()].filter((count) => count !== 1)).toEqual([]);
    expect([...runs.keys()].sort()).toEqual(added.map(({ id }) => id).sort());
  });

  it('that is full leaves the rest in the line for others', async ({ world }) => {
    const small = defineLane({ name: 'small', concurrency: 2 });
    const held = gate();
    const pod = await world.pod([handle(small, { run: () => held.opened })]);
    await (await world.producer()).addMany(
      small,
      Array.from({ length: 5 }, () => ({ payload: null })),
    );
    await vi.waitFor(
      async () => expect(await world.queue(small).backend.getCounts(['active', 'wait'])).toEqual([2, 3]),
      RETRYING,
    );
    await vi.waitFor(() => expect(pod.running).toBe(2), RETRYING);
    held.open();
    await vi.waitFor(
      async () => expect(await world.queue(small).backend.getCounts(['completed'])).toEqual([5]),
      RETRYING,
    );
  });
});

describe('a pod', () => {
  it('holds two connections, however many lanes it has, and none when it is stopped', async ({ world }) => {
    const redis = await privateRedis(world);
    const admin = adminOf(world, redis);
    const connected = async () => ((await admin.client('LIST')) as string).trim().split('\n').length - 1;
    const lanes = Array.from({ length: 50 }, (_, n) => defineLane({ name: `lane-${n}` }));
    const before = await connected();
    const run = vi.fn(() => null);
    const pod = await world.pod(
      lanes.map((one) => handle(one, { run })),
      { redisUrl: redis.url },
    );
    await vi.waitFor(async () => expect(await connected()).toBe(before + 2), RETRYING);
    await vi.waitFor(async () => expect(await admin.client('LIST')).toMatch(/cmd=bzpopmin/), RETRYING);
    expect(await connected()).toBe(before + 2);
    await pod.stop('over');
    await vi.waitFor(async () => expect(await connected()).toBe(before), RETRYING);
  });
});
