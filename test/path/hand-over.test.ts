// ctx.add: the next lane gets each job once, however often the attempt that adds it runs, and remembers where it came from.

import { describe, expect } from 'vitest';
import { type Context, defineLane, defineUpstream, handle } from '../../src/index.ts';
import { listJobs } from '../../src/path/inspect.ts';
import type { Lane } from '../../src/path/lane.ts';
import { it, type World } from '../support/world.ts';
import { untilState } from './looking.ts';

const retry = { attempts: 3, backoff: [0], jitter: 0 };
const from = defineLane({ name: 'from', retry });
const upstream = defineUpstream({ name: 'api', limits: [{ concurrent: 1, by: 'agent' }] });
const next = defineLane({ name: 'next', upstream });
const loose = defineLane({ name: 'loose', upstream, dedupe: false });
const content = defineLane({ name: 'content', upstream, dedupe: 'content' });

async function runOnce(world: World, run: (ctx: Context, attempt: number) => unknown) {
  await world.pod([handle(from, { run: ({ attempt }, ctx) => run(ctx, attempt) })]);
  const { id } = await (await world.producer()).add(from, null);
  return { id, queue: world.queue(from) };
}

const waiting = (world: World, lane: Lane) => listJobs(world.queue(lane), ['waiting'], 100);

describe('a job that is handed over', () => {
  it.for([next, loose, content])(
    'is in once though the attempt ran thrice, and keeps its parent (%j)',
    async (lane, { world }) => {
      const added: unknown[] = [];
      const { id, queue } = await runOnce(world, async ({ add }, attempt) => {
        added.push([(await add(lane, 'one')).id, (await add(lane, 'two', { agent: 'a01', priority: 1 })).id]);
        if (attempt < 3) throw new Error('again');
      });
      await untilState(queue, id, 'done');
      const jobs = await waiting(world, lane);
      expect(jobs).toMatchObject([
        { payload: 'one', parent: `from/${id}` },
        { payload: 'two', parent: `from/${id}`, agent: 'a01', priority: 1 },
      ]);
      expect(added).toEqual(Array(3).fill(jobs.map((job) => job.id)));
    },
  );

  it('is in once though its reservation was over when the attempt ran again', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ add }, attempt) => {
      await add(next, 'one');
      if (attempt > 1) return;
      for (const key of await world.redis.keys(`${world.prefix}:l:*:same:*`)) await world.redis.del(key);
      throw new Error('again');
    });
    await untilState(queue, id, 'done');
    expect(await waiting(world, next)).toHaveLength(1);
  });

  it('has the key <job>/<n> unless it is given another', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ add }) => {
      await add(next, 1);
      await add(next, 2, { key: 'mine' });
      await add(next, 3);
    });
    await untilState(queue, id, 'done');
    expect((await waiting(world, next)).map(({ key }) => key)).toEqual([`${id}/1`, 'mine', `${id}/3`]);
  });

  it('goes by content where the lane does: two jobs that add the same add one', async ({ world }) => {
    await world.pod([handle(from, { run: (_, { add }) => add(content, { same: 1 }) })]);
    const producer = await world.producer();
    for (const n of [1, 2]) await untilState(world.queue(from), (await producer.add(from, n)).id, 'done');
    expect(await waiting(world, content)).toHaveLength(1);
  });

  it('may not be another when the attempt runs again: refused, not lost', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ add }, attempt) => {
      await add(next, `found by attempt ${attempt}`);
      throw new Error('again');
    });
    expect(await untilState(queue, id, 'dead')).toMatchObject({
      class: 'fatal',
      reason: expect.stringContaining('ctx.add 1: when this job last ran it added another job here'),
    });
    expect(await waiting(world, next)).toMatchObject([{ payload: 'found by attempt 1' }]);
  });

  it('that its lane does not take ends the attempt with the complaint', async ({ world }) => {
    const { id, queue } = await runOnce(world, ({ add }) => add(next, undefined));
    expect(await untilState(queue, id, 'dead')).toMatchObject({
      reason: expect.stringContaining('payload: expected what JSON can hold'),
    });
  });
});
