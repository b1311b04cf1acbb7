// What people order: take a job out, look at a dead letter, give it another life. Each is done whole, or refused by what the job is.

import { describe, expect } from 'vitest';
import { dead, defineLane, handle } from '../../src/index.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { listDead, replayDead, showDead } from '../../src/path/dead-letters.ts';
import { listJobs, showJob } from '../../src/path/inspect.ts';
import { it } from '../support/world.ts';
import { BY_ANN, gate, keysOf, plainQueue, rejection, tick, untilState } from './looking.ts';

const lane = defineLane({ name: 'orders', retry: { attempts: 2, backoff: [0], jitter: 0 } });

describe('a cancel', () => {
  it('takes out what waits, is parked or is scheduled, whole, and answers what it was', async ({ world }) => {
    const producer = await world.producer();
    const queue = world.queue(lane);
    const waiting = await producer.add(lane, 'a');
    const ranked = await producer.add(lane, 'b', { priority: 5 });
    const scheduled = await producer.add(lane, 'c', { at: Date.UTC(2040, 0, 1) });
    for (const { id, state } of [waiting, ranked, scheduled]) {
      expect(await cancelJob(queue, world.keys, id)).toMatchObject({ id, state });
      expect(await rejection(showJob(queue, id))).toMatchObject({ code: 'LK_UNKNOWN' });
      expect((await keysOf(world)).filter((key) => key.includes(id))).toEqual([]);
    }
  });

  it('refuses what runs or has ended, and says what it is', async ({ world }) => {
    const held = gate();
    const queue = world.queue(lane);
    await world.pod([handle(lane, { run: ({ payload }) => (payload === 'dead' ? dead('no') : held.opened) })]);
    const producer = await world.producer();
    const active = await producer.add(lane, 'active');
    const buried = await producer.add(lane, 'dead');
    await untilState(queue, active.id, 'active');
    await untilState(queue, buried.id, 'dead');
    const refusal = (state: string) => ({
      code: 'LK_STATE',
      message: expect.stringContaining(`is ${state}: only waiting, parked, scheduled`),
    });
    expect(await rejection(cancelJob(queue, world.keys, active.id))).toMatchObject(refusal('active'));
    expect(await rejection(cancelJob(queue, world.keys, buried.id))).toMatchObject(refusal('dead'));
    held.open();
    await untilState(queue, active.id, 'done');
    expect(await rejection(cancelJob(queue, world.keys, active.id))).toMatchObject(refusal('done'));
    expect(await rejection(cancelJob(queue, world.keys, 'j_none'))).toMatchObject({ code: 'LK_UNKNOWN' });
  });

  it('that races with pods either takes a job out or is refused: no job does both, none is lost', async ({ world }) => {
    const ran = new Set<string>();
    const queue = world.queue(lane);
    const producer = await world.producer();
    const added = await producer.addMany(
      lane,
      Array.from({ length: 200 }, () => ({ payload: null })),
    );
    await world.pod([handle(lane, { run: ({ id }) => void ran.add(id) })]);
    const cancelled = new Set<string>();
    await Promise.all(
      added.reverse().map(async ({ id }) => {
        try {
          await cancelJob(queue, world.keys, id);
          cancelled.add(id);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^LK_(STATE|UNKNOWN)$/) });
        }
      }),
    );
    for (const { id } of added) if (!cancelled.has(id)) await untilState(queue, id, 'done');
    expect([...ran].filter((id) => cancelled.has(id))).toEqual([]);
    expect(ran.size + cancelled.size).toBe(200);
  });
});

describe('a dead letter', () => {
  it('is listed newest first, shown whole, and is nothing that is not dead', async ({ world }) => {
    const one = defineLane({ name: 'orders', concurrency: 1 });
    const queue = world.queue(lane);
    await world.pod([
      handle(one, {
        run: ({ payload }) => {
          tick();
          return dead(`no ${payload}`);
        },
      }),
    ]);
    const producer = await world.producer();
    const ids: string[] = [];
    for (const n of [1, 2, 3]) ids.push((await producer.add(lane, n)).id);
    const waiting = await producer.add(lane, 4, { at: Date.UTC(2040, 0, 1) });
    await untilState(queue, ids[2] as string, 'dead');
    expect((await listDead(queue, 2)).map(({ payload }) => payload)).toEqual([3, 2]);
    expect(await showDead(queue, ids[0] as string)).toMatchObject({
      reason: 'no 1',
      class: 'fatal',
      stacks: [{ attempt: 1 }],
    });
    expect(await rejection(showDead(queue, waiting.id))).toMatchObject({
      code: 'LK_STATE',
      message: expect.stringContaining('is scheduled, not dead'),
    });
    expect(await rejection(showDead(queue, 'j_none'))).toMatchObject({ code: 'LK_UNKNOWN' });
  });
});

describe('a replay', () => {
  it('runs it again with all its attempts, the same id and its whole history', async ({ world }) => {
    let isBroken = true;
    const queue = world.queue(lane);
    const attempts: number[] = [];
    const run = ({ attempt }: { attempt: number }) => {
      attempts.push(attempt);
      if (isBroken) throw new Error(`broke ${attempts.length}`);
      return 'ran';
    };
    await world.pod([handle(lane, { run })]);
    const plain = await plainQueue(world, lane).add('x', { lk: 1, payload: { a: 1 }, agent: 'a01', key: 'k' });
    const id = plain.id as string;
    await untilState(queue, id, 'dead');
    expect(await replayDead(queue, id, BY_ANN), 'it answers the letter as it was').toMatchObject({
      state: 'dead',
      reason: 'broke 2',
    });
    await untilState(queue, id, 'dead');
    expect(attempts).toEqual([1, 2, 1, 2]);
    const letter = await untilState(queue, id, 'dead');
    expect(letter.stacks.map(({ trace }) => trace.split('\n')[0])).toEqual(
      [1, 2, 3, 4].map((n) => `Error: broke ${n}`),
    );
    isBroken = false;
    await replayDead(queue, id, BY_ANN);
    const job = await untilState(queue, id, 'done');
    expect(job).toMatchObject({
      id,
      result: 'ran',
      payload: { a: 1 },
      agent: 'a01',
      key: 'k',
      attempt: 1,
      reason: null,
      class: null,
    });
    expect(job.stacks).toHaveLength(4);
  });

  it('keeps its priority', async ({ world }) => {
    const one = defineLane({ name: 'orders', concurrency: 1 });
    const queue = world.queue(lane);
    const pod = await world.pod([handle(one, { run: () => dead('no') })]);
    const producer = await world.producer();
    const late = await producer.add(lane, 'late', { priority: 9 });
    await untilState(queue, late.id, 'dead');
    await pod.stop('over');
    await producer.add(lane, 'soon', { priority: 1 });
    await replayDead(queue, late.id, BY_ANN);
    expect((await listJobs(queue, ['waiting'], 10)).map(({ payload }) => payload)).toEqual(['soon', 'late']);
    expect(await showJob(queue, late.id)).toMatchObject({ priority: 9 });
  });

  it('of what is not dead is refused by what it is', async ({ world }) => {
    const queue = world.queue(lane);
    const { id } = await (await world.producer()).add(lane, null);
    expect(await rejection(replayDead(queue, id, BY_ANN))).toMatchObject({
      code: 'LK_STATE',
      message: expect.stringContaining('is waiting, not dead'),
    });
    expect(await rejection(replayDead(queue, 'j_none', BY_ANN))).toMatchObject({ code: 'LK_UNKNOWN' });
  });

  it('ordered by many at once is one replay: the others hear what became of it', async ({ world }) => {
    const queue = world.queue(lane);
    const pod = await world.pod([handle(lane, { run: () => dead('no') })]);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(queue, id, 'dead');
    await pod.stop('over');
    const orders = await Promise.allSettled(Array.from({ length: 10 }, () => replayDead(queue, id, BY_ANN)));
    expect(orders.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const order of orders) {
      if (order.status === 'rejected')
        expect(order.reason).toMatchObject({ code: 'LK_STATE', message: expect.stringContaining('is waiting') });
    }
    expect(await queue.backend.getCounts(['wait', 'prioritized', 'failed'])).toEqual([1, 0, 0]);
  });
});
