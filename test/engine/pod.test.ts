// A pod runs, drains and is stopped, never backwards: what it has taken ends or goes back, with no attempt used.

import { pino } from 'pino';
import { describe, expect, vi } from 'vitest';
import { createPod } from '../../src/engine/pod.ts';
import { readPods } from '../../src/engine/presence.ts';
import { defineLane, type Handler, handle } from '../../src/index.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { gate, RETRYING, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'work', retry: { attempts: 1 } });
const idle = handle(lane, { run: () => null });

/** Made, and stopped with the test, but not started. */
function madePod(world: World, handlers: Handler[] = [idle]) {
  const log = pino({ level: 'silent' });
  const pod = createPod({
    redisUrl: world.redisUrl,
    prefix: world.prefix,
    handlers,
    concurrency: 8,
    log,
    watchdog: false,
  });
  world.defer(() => pod.stop('the test is over', 0));
  return pod;
}

async function journalled(world: World, what: string): Promise<number> {
  const batches = (await world.redis.xrange(world.keys.fleetJournal(), '-', '+')) as [string, string[]][];
  return batches.flatMap(([id, fields]) => readBatch(id, fields)).filter((entry) => entry.what === what).length;
}

describe('a pod', () => {
  it('that is started twice is started once', async ({ world }) => {
    const pod = madePod(world);
    const seen = world.record(pod);
    await pod.start();
    await pod.start();
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(world.queue(lane), id, 'done');
    await pod.stop('over');
    expect(seen.filter(({ name }) => name === 'pod.started')).toHaveLength(1);
    expect(await journalled(world, 'pod.started')).toBe(1);
    expect(await journalled(world, 'pod.stopped')).toBe(1);
  });

  it('that is stopped twice, or by many, is stopped once, and each hears when it is', async ({ world }) => {
    const pod = madePod(world);
    const seen = world.record(pod);
    await pod.start();
    await Promise.all([pod.stop('one'), pod.stop('two', 5_000), pod.stop('three')]);
    await pod.stop('four');
    expect(pod.state).toBe('stopped');
    expect(seen.filter(({ name }) => name === 'pod.draining')).toHaveLength(1);
    expect(seen.filter(({ name }) => name === 'pod.stopped')).toHaveLength(1);
  });

  it('that is stopped before it was started is stopped', async ({ world }) => {
    const pod = madePod(world);
    await pod.stop('never mind');
    expect(pod.state).toBe('stopped');
  });

  it('that was stopped stays stopped: starting it again does nothing', async ({ world }) => {
    const pod = madePod(world);
    await pod.start();
    await pod.stop('over');
    const seen = world.record(pod);
    await pod.start().catch(() => {});
    expect(pod.state).toBe('stopped');
    expect(seen.map(({ name }) => name)).not.toContain('pod.started');
  });

  it('goes from running over draining to stopped, and says so to those who ask', async ({ world }) => {
    const held = gate();
    const pod = await world.pod([handle(lane, { run: () => held.opened })]);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(world.queue(lane), id, 'active');
    await vi.waitFor(
      async () =>
        expect(await readPods(world.redis, world.keys)).toMatchObject([
          { pod: pod.name, isAlive: true, lanes: ['work'] },
        ]),
      RETRYING,
    );
    expect(pod.state).toBe('running');
    const stopped = pod.stop('over', 10_000);
    expect(pod.state).toBe('draining');
    held.open();
    await stopped;
    expect(pod.state).toBe('stopped');
    expect(await readPods(world.redis, world.keys)).toEqual([]);
  });
});

describe('a pod that drains', () => {
  it('settles what ends before the deadline, and fetches nothing more', async ({ world }) => {
    const held = gate();
    const pod = await world.pod([handle(lane, { run: () => held.opened.then(() => 'ended') })]);
    const producer = await world.producer();
    const first = await producer.add(lane, null);
    await untilState(world.queue(lane), first.id, 'active');
    const stopped = pod.stop('over', 10_000);
    const late = await producer.add(lane, null);
    held.open();
    await stopped;
    expect(await untilState(world.queue(lane), first.id, 'done')).toMatchObject({ result: 'ended' });
    await untilState(world.queue(lane), late.id, 'waiting');
  });

  it.for([undefined, 5])(
    'gives back at the deadline what still runs (priority %s), with no attempt used, and another pod runs it',
    async (priority, { world }) => {
      const starts: { attempt: number; fence: string; by: string }[] = [];
      const aborted = gate<unknown>();
      const endless = handle(lane, {
        run: ({ attempt }, { fence, signal }) => {
          starts.push({ attempt, fence, by: 'first' });
          signal.addEventListener('abort', () => aborted.open(signal.reason));
          return new Promise(() => {});
        },
      });
      const pod = await world.pod([endless]);
      const seen = world.record(pod);
      const { id } = await (await world.producer()).add(lane, null, { priority });
      await untilState(world.queue(lane), id, 'active');
      await pod.stop('leaving', 0);
      expect(await aborted.opened).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
      expect(seen.find(({ name }) => name === 'attempt.returned')?.data).toMatchObject({ job: id, attempt: 1 });
      expect(seen.find(({ name }) => name === 'pod.stopped')?.data).toEqual({ returned: 1 });
      await untilState(world.queue(lane), id, 'waiting');
      await world.pod([
        handle(lane, { run: ({ attempt }, { fence }) => void starts.push({ attempt, fence, by: 'second' }) }),
      ]);
      expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ attempt: 1, stacks: [] });
      expect(starts).toEqual([
        { attempt: 1, fence: '1', by: 'first' },
        { attempt: 1, fence: '2', by: 'second' },
      ]);
    },
  );

  it('puts what it gives back at the head of the line', async ({ world }) => {
    const one = defineLane({ name: 'line', concurrency: 1 });
    const producer = await world.producer();
    const added = await producer.addMany(
      one,
      [1, 2, 3].map((payload) => ({ payload })),
    );
    const pod = await world.pod([handle(one, { run: () => new Promise(() => {}) })]);
    await untilState(world.queue(one), added[0]?.id as string, 'active');
    await pod.stop('leaving', 0);
    const ran: unknown[] = [];
    await world.pod([handle(one, { run: ({ payload }) => void ran.push(payload) })]);
    await vi.waitFor(() => expect(ran).toEqual([1, 2, 3]), RETRYING);
  });

  it.for([0, 50])('is held to a later, shorter deadline of %d ms', async (deadlineMs, { world }) => {
    const pod = await world.pod([handle(lane, { run: () => new Promise(() => {}) })]);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(world.queue(lane), id, 'active');
    void pod.stop('take your time', 60_000);
    void pod.stop('hurry', deadlineMs);
    await vi.waitFor(() => expect(pod.state).toBe('stopped'), RETRYING);
    await untilState(world.queue(lane), id, 'waiting');
  });
});
