// Any BullMQ producer may feed a lane, with or without our envelope; the lane's policy wins over what its job says.

import type { JobsOptions } from 'bullmq';
import { describe, expect } from 'vitest';
import { z } from 'zod';
import { defineLane, defineUpstream, handle, type Job } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { plainQueue, untilState } from './looking.ts';

const forum = defineUpstream({ name: 'forum' });
const retry = { attempts: 3, backoff: [0], jitter: 0 };

describe('a plain producer', () => {
  it('hands in plain data, or our envelope around it, under any name', async ({ world }) => {
    const lane = defineLane({ name: 'plain', upstream: forum, payload: z.object({ n: z.number() }), concurrency: 1 });
    const seen: Job<{ n: number }>[] = [];
    await world.pod([handle(lane, { run: (job) => void seen.push(job) })]);
    const queue = plainQueue(world, lane);
    const bare = await queue.add('anything', { n: 1 });
    const wrapped = await queue.add('else', { lk: 1, payload: { n: 2 }, agent: 'a01', key: 'k' });
    for (const { id } of [bare, wrapped]) await untilState(world.queue(lane), id as string, 'done');
    expect(seen).toEqual([
      { id: bare.id, lane: 'plain', payload: { n: 1 }, agent: null, attempt: 1, key: null, enqueuedAt: bare.timestamp },
      {
        id: wrapped.id,
        lane: 'plain',
        payload: { n: 2 },
        agent: 'a01',
        attempt: 1,
        key: 'k',
        enqueuedAt: wrapped.timestamp,
      },
    ]);
    expect(Object.isFrozen(seen[0])).toBe(true);
  });

  it.for([
    ['removes what failed', { removeOnFail: true }],
    ['asks for one attempt', { attempts: 1 }],
    ['says nothing of attempts', {}],
    ['keeps no stacks', { stackTraceLimit: 0 }],
    ['has a backoff of its own', { attempts: 9, backoff: { type: 'exponential', delay: 3_600_000 } }],
    ['does all of it', { removeOnFail: true, removeOnComplete: true, stackTraceLimit: 0, keepLogs: 0 }],
  ] as [string, JobsOptions][])(
    'whose job %s still gets the attempts of the lane, and its dead letter is kept with every stack',
    async ([, options], { world }) => {
      const lane = defineLane({ name: 'stubborn', retry });
      await world.pod([handle(lane, { run: ({ attempt }) => Promise.reject(new Error(`broke ${attempt}`)) })]);
      const { id } = await plainQueue(world, lane).add('x', { n: 1 }, options);
      const letter = await untilState(world.queue(lane), id as string, 'dead');
      expect(letter).toMatchObject({ class: 'transient', reason: 'broke 3', attempt: 3, payload: { n: 1 } });
      expect(letter.stacks.map(({ attempt, attempts, trace }) => [attempt, attempts, trace.split('\n')[0]])).toEqual([
        [1, 3, 'Error: broke 1'],
        [2, 3, 'Error: broke 2'],
        [3, 3, 'Error: broke 3'],
      ]);
    },
  );

  it('whose job removes what is done does not remove it: a repeated key would run again', async ({ world }) => {
    const lane = defineLane({ name: 'kept' });
    await world.pod([handle(lane, { run: () => 5 })]);
    const { id } = await plainQueue(world, lane).add('x', {}, { removeOnComplete: true });
    expect(await untilState(world.queue(lane), id as string, 'done')).toMatchObject({ result: 5 });
  });

  it("uses BullMQ's own priority, delay and jobId", async ({ world }) => {
    const lane = defineLane({ name: 'own', concurrency: 1 });
    const queue = plainQueue(world, lane);
    await queue.add('x', 'low', { priority: 9 });
    await queue.add('x', 'high', { priority: 1 });
    await queue.add('x', 'late', { delay: 3_600_000, jobId: 'mine' });
    const ran: unknown[] = [];
    const { id } = await queue.add('x', 'lowest', { priority: 10 });
    await world.pod([handle(lane, { run: ({ payload }) => void ran.push(payload) })]);
    await untilState(world.queue(lane), id as string, 'done');
    expect(ran).toEqual(['high', 'low', 'lowest']);
    await untilState(world.queue(lane), 'mine', 'scheduled');
  });
});

describe('a job that cannot be read', () => {
  it('is buried and holds up neither its lane nor its pod', async ({ world }) => {
    const lane = defineLane({ name: 'unreadable', concurrency: 1 });
    const producer = await world.producer();
    const bad = await producer.add(lane, 'bad');
    const good = await producer.add(lane, 'good');
    await world.redis.hset(world.queue(lane).jobKey(bad.id), 'data', '{not json');
    await world.pod([handle(lane, { run: () => null })]);
    await untilState(world.queue(lane), good.id, 'done');
    expect(await untilState(world.queue(lane), bad.id, 'dead')).toMatchObject({ class: 'refused' });
  });
});
