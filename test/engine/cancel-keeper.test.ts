// An order to cancel a job that runs: it reaches the job's pod within a second, ends the attempt whatever its handler does, and
// finds the job wherever it went meanwhile.

import { describe, expect, vi } from 'vitest';
import { createMetrics } from '../../src/engine/metrics.ts';
import { type Context, defineLane, type Handler, handle, type Job } from '../../src/index.ts';
import { cancelAnyJob, readCancelOrders } from '../../src/path/cancel-orders.ts';
import { showJob } from '../../src/path/inspect.ts';
import { freeReservation } from '../../src/store/scripts/free-reservation.ts';
import { systemClock } from '../../src/words/clock.ts';
import type { Keys } from '../../src/words/keys.ts';
import { gate, keysOf, RETRYING, rejection, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'halted', retry: { attempts: 3, backoff: [0], jitter: 0 } });

function order(world: World, id: string, keys: Keys = world.keys) {
  const laneQueue = world.queue(lane);
  return cancelAnyJob({ laneQueue, keys, id, who: 'ann@desk', reason: 'wrong text', clock: systemClock });
}

/** A handler that never ends by itself, and what it was given. */
function endless(): { handler: Handler; seen: { job: Job; ctx: Context }[] } {
  const seen: { job: Job; ctx: Context }[] = [];
  const run = (job: Job, ctx: Context) => {
    seen.push({ job, ctx });
    return new Promise<void>(() => {});
  };
  return { handler: handle(lane, { run }), seen };
}

async function journalText(world: World): Promise<string> {
  return JSON.stringify(await world.redis.xrange(world.keys.journal(lane.tag), '-', '+'));
}

describe('a cancel of an active job', () => {
  it('ends its attempt within 1 s and removes the job, though the handler ignores its signal', async ({ world }) => {
    const { handler, seen } = endless();
    const pod = await world.pod([handler]);
    const events = world.record(pod);
    const metrics = createMetrics('0');
    metrics.subscribe(pod.events);
    const { id } = await (await world.producer()).add(lane, 'a');
    await untilState(world.queue(lane), id, 'active');
    const { ctx } = await vi.waitFor(() => seen[0] as (typeof seen)[0], RETRYING);
    const { signal } = ctx;
    const orderedAt = systemClock.mono();
    expect(await order(world, id)).toMatchObject({ by: 'pod', job: { id, state: 'active' } });
    expect(systemClock.mono() - orderedAt).toBeLessThan(1_000);

    expect(signal.aborted).toBe(true);
    expect(String(signal.reason)).toContain('ann@desk cancelled it');
    expect(await rejection(ctx.fetch('/x'))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(await rejection(showJob(world.queue(lane), id))).toMatchObject({ code: 'LK_UNKNOWN' });
    expect((await keysOf(world)).filter((key) => key.includes(id))).toEqual([]);
    expect(await world.queue(lane).backend.getCounts(['wait', 'active', 'delayed', 'failed', 'completed'])).toEqual([
      0, 0, 0, 0, 0,
    ]);
    await vi.waitFor(async () => expect(await readCancelOrders(world.redis, world.keys)).toEqual([]), RETRYING);
    const told = events.filter(({ name }) => name === 'job.cancelled').map(({ data }) => data);
    const end = { before: 'active', after: 'gone', who: 'ann@desk' };
    expect(told).toEqual([{ lane: 'halted', job: id, reason: 'wrong text', ...end }]);
    expect(events.filter(({ name }) => name === 'attempt.finished')).toEqual([]);
    expect(await metrics.registry.metrics()).toContain('lanekeeper_jobs_total{lane="halted",outcome="cancelled"} 1');
    await vi.waitFor(async () => expect((await journalText(world)).split('job.cancelled')).toHaveLength(2), RETRYING);
    expect(await journalText(world)).toContain('ann@desk');
    expect(seen, 'no retry').toHaveLength(1);
  });

  it('leaves every other job of the pod alone (twin)', async ({ world }) => {
    const held = gate();
    const pod = await world.pod([handle(lane, { run: () => held.opened })]);
    const producer = await world.producer();
    const meant = await producer.add(lane, 'a');
    const other = await producer.add(lane, 'b');
    for (const { id } of [meant, other]) await untilState(world.queue(lane), id, 'active');
    await order(world, meant.id);
    expect(pod.running).toBe(1);
    held.open();
    await untilState(world.queue(lane), other.id, 'done');
  });

  it('frees its slot: the next job of the line runs', async ({ world }) => {
    const one = defineLane({ name: 'halted', concurrency: 1 });
    await world.pod([handle(one, { run: ({ payload }) => (payload === 'a' ? new Promise(() => {}) : 'ran') })]);
    const producer = await world.producer();
    const first = await producer.add(lane, 'a');
    const second = await producer.add(lane, 'b');
    await untilState(world.queue(lane), first.id, 'active');
    await order(world, first.id);
    expect(await untilState(world.queue(lane), second.id, 'done')).toMatchObject({ result: 'ran' });
  });

  it('is told, and the next job runs at once, also when its reservation cannot be freed', async ({ world }) => {
    const one = defineLane({ name: 'halted', concurrency: 1 });
    const pod = await world.pod([
      handle(one, { run: ({ payload }) => (payload === 'a' ? new Promise(() => {}) : 'ran') }),
    ]);
    const events = world.record(pod);
    const producer = await world.producer();
    const first = await producer.add(lane, 'a', { key: 'k' });
    const second = await producer.add(lane, 'b');
    await untilState(world.queue(lane), first.id, 'active');
    const freeing = vi.spyOn(freeReservation, 'run').mockRejectedValue(new Error('READONLY'));
    world.defer(() => freeing.mockRestore());
    expect(await order(world, first.id)).toMatchObject({ by: 'pod' });
    // A job that was fetched and forgotten would run again only after its lock, 20 s later.
    expect(await untilState(world.queue(lane), second.id, 'done')).toMatchObject({ result: 'ran', attempt: 1 });
    expect(freeing).toHaveBeenCalledTimes(1);
    expect(events.map(({ name }) => name)).toContain('job.cancelled');
    expect(events.map(({ name }) => name)).not.toContain('settle.refused');
    freeing.mockRestore();
    expect(await producer.add(lane, 'a', { key: 'k' }), 'until it runs out by itself').toMatchObject({
      isRepeat: true,
    });
  });

  it('that no pod answers says so in one line, and stays for the pod that takes the job over', async ({ world }) => {
    const queue = world.queue(lane);
    const { id } = await (await world.producer()).add(lane, 'a');
    await queue.backend.moveToActive('frozen:0', 'frozen-pod');
    const error = await rejection(order(world, id));
    expect(error).toMatchObject({
      code: 'LK_STATE',
      message: expect.stringMatching(/is still active: its pod frozen-pod did not answer within 3 s.*the order stands/),
    });
    expect(error.message).not.toContain('\n');
    expect(await readCancelOrders(world.redis, world.keys)).toHaveLength(1);

    // Its lock runs out, a sweep puts it back into its line; whoever has it then cancels it.
    await world.redis.del(`${queue.jobKey(id)}:lock`);
    const { handler } = endless();
    const pods = [await world.pod([handler]), await world.pod([handler])];
    const events = pods.map((pod) => world.record(pod));
    await vi.waitFor(async () => {
      expect(await rejection(showJob(queue, id))).toMatchObject({ code: 'LK_UNKNOWN' });
    }, RETRYING);
    await vi.waitFor(async () => expect(await readCancelOrders(world.redis, world.keys)).toEqual([]), RETRYING);
    expect(events.flat().filter(({ name }) => name === 'job.cancelled')).toHaveLength(1);
  });

  it('is taken out of the line when it waits again there, by a pod that is too busy to fetch it', async ({ world }) => {
    const one = defineLane({ name: 'halted', concurrency: 1 });
    const queue = world.queue(lane);
    const producer = await world.producer();
    const { id } = await producer.add(lane, 'a');
    await queue.backend.moveToActive('gone:0', 'gone');
    await rejection(order(world, id));
    const blocker = await producer.add(lane, 'b');
    await world.pod([handle(one, { run: () => new Promise(() => {}) })]);
    await untilState(queue, blocker.id, 'active');
    await queue.backend.moveJobFromActiveToWait(id, 'gone:0');
    await vi.waitFor(async () => {
      expect(await rejection(showJob(queue, id))).toMatchObject({ code: 'LK_UNKNOWN' });
    }, RETRYING);
  });

  it('means the job that was there, not one that its key made again', async ({ world }) => {
    const queue = world.queue(lane);
    const held = gate();
    await world.redis.hset(
      world.keys.cancels(),
      'halted/j_again',
      JSON.stringify({ lane: 'halted', job: 'j_again', enqueuedAt: 5, who: 'ann@desk', reason: null, orderedAt: 5 }),
    );
    await queue.queue.add('n', 1, { jobId: 'j_again' });
    await world.pod([handle(lane, { run: () => held.opened })]);
    await untilState(queue, 'j_again', 'active');
    await vi.waitFor(async () => expect(await readCancelOrders(world.redis, world.keys)).toEqual([]), RETRYING);
    held.open();
    await untilState(queue, 'j_again', 'done');
  });

  it('of what has ended is refused by what it is, and leaves no order', async ({ world }) => {
    const { id } = await (await world.producer()).add(lane, 'a');
    await world.pod([handle(lane, { run: () => 'ran' })]);
    await untilState(world.queue(lane), id, 'done');
    expect(await rejection(order(world, id))).toMatchObject({
      code: 'LK_STATE',
      message: expect.stringContaining('is done'),
    });
    expect(await rejection(order(world, 'j_none'))).toMatchObject({ code: 'LK_UNKNOWN' });
    expect(await readCancelOrders(world.redis, world.keys)).toEqual([]);
  });

  it('that races with ends and retries is told once for each job that it took, and takes no job that ended', async ({
    world,
  }) => {
    const queue = world.queue(lane);
    let runs = 0;
    const run = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      if (++runs % 3 === 0) throw new Error('again');
    };
    const pods = [await world.pod([handle(lane, { run })]), await world.pod([handle(lane, { run })])];
    const events = pods.map((pod) => world.record(pod));
    const producer = await world.producer();
    const added = await producer.addMany(
      lane,
      Array.from({ length: 120 }, () => ({ payload: null })),
    );
    const orders = await Promise.allSettled(added.map(({ id }) => order(world, id)));
    const byCaller = orders.flatMap((settled, n) =>
      settled.status === 'fulfilled' && settled.value.by === 'caller' ? [added[n]?.id] : [],
    );
    await vi.waitFor(async () => {
      expect(await queue.backend.getCounts(['wait', 'active', 'delayed'])).toEqual([0, 0, 0]);
      expect(await readCancelOrders(world.redis, world.keys)).toEqual([]);
    }, RETRYING);
    const told = events
      .flat()
      .flatMap(({ name, data }) => (name === 'job.cancelled' ? [(data as { job: string }).job] : []));
    const cancelled = [...byCaller, ...told];
    expect(new Set(cancelled).size).toBe(cancelled.length);
    const [done = 0, dead = 0] = await queue.backend.getCounts(['completed', 'failed']);
    expect(done + dead + cancelled.length).toBe(120);
  });
});
