// One pod of all runs a lane with `pods: 'one'`: the others stand by, and go on when it leaves, dies or is cut off.

import { describe, expect, vi } from 'vitest';
import { createRunLease, type RunLease } from '../../src/engine/run-lease.ts';
import { defineLane, handle } from '../../src/index.ts';
import { runLease } from '../../src/store/ownership/run-lease.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub } from '../../src/words/events.ts';
import { RETRYING } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = { name: 'one', tag: 'one' };

function open(world: World, pod: string, clock = systemClock): RunLease & { told: string[] } {
  const told: string[] = [];
  const lease = createRunLease({
    name: { lane: 'one' },
    pod,
    redis: world.redis,
    runKey: world.keys.run(lane),
    sequenceKey: world.keys.owner({ ...lane }),
    clock,
    events: createEventHub(),
    onHeld: (token) => void told.push(`held ${token}`),
    onLost: (reason) => void told.push(reason),
  });
  world.defer(() => lease.stop());
  return Object.assign(lease, { told });
}

/** As a pod that got it so and then died. */
function died(world: World, pod: string, termMs: number) {
  const keys = { run: world.keys.run(lane), sequence: world.keys.owner({ ...lane }) };
  return runLease.run(world.redis, keys, { pod, termMs, token: '', floor: 0, isLast: 0 });
}

describe('a run lease', () => {
  it('is had by one; given back, the next has it with a higher token', async ({ world }) => {
    const [first, second] = [open(world, 'p1'), open(world, 'p2')];
    first.start();
    await vi.waitFor(() => expect(first.isOurs).toBe(true), RETRYING);
    second.start();
    await vi.waitFor(
      async () => expect(await died(world, 'p3', 1)).toMatchObject({ kind: 'standby', pod: 'p1' }),
      RETRYING,
    );
    expect(second.isOurs).toBe(false);
    const token = first.token as number;
    await first.stop();
    expect(first.isOurs).toBe(false);
    await vi.waitFor(() => expect(second.isOurs).toBe(true), RETRYING);
    expect(second.token).toBeGreaterThan(token);
    expect(first.told).toEqual([`held ${token}`]);
  });

  it('of a dead pod is taken over the moment it runs out', async ({ world }) => {
    const dead = await died(world, 'dead', 400);
    const next = open(world, 'p2');
    const startedMono = performance.now();
    next.start();
    await vi.waitFor(() => expect(next.isOurs).toBe(true), RETRYING);
    expect(performance.now() - startedMono).toBeGreaterThan(350);
    expect(next.token).toBeGreaterThan((dead as { token: number }).token);
  });

  it('has tokens of one sequence with its owners', async ({ world }) => {
    const owners = 9_000_000_000_000_000;
    await world.redis.hset(world.keys.owner({ ...lane }), 'last', String(owners));
    expect(await died(world, 'p1', 1)).toMatchObject({ kind: 'held', token: owners + 1 });
    expect(await world.redis.hget(world.keys.owner({ ...lane }), 'last')).toBe(String(owners + 1));
  });

  it('that Redis lost, or gave to another, is lost with the next renewal', async ({ world }) => {
    const lease = open(world, 'p1');
    lease.start();
    await vi.waitFor(() => expect(lease.isOurs).toBe(true), RETRYING);
    const before = lease.token as number;
    await world.redis.del(world.keys.run(lane), world.keys.owner({ ...lane }));
    await vi.waitFor(() => expect(lease.told).toHaveLength(3), RETRYING);
    expect(lease.told[1]).toBe('another has it, or Redis lost it');
    expect(lease.token).toBeGreaterThan(before);
  });

  it('is given up by its own clock, before any timer, and taken anew under another token', async ({ world }) => {
    let sleptMs = 0;
    const clock = { now: systemClock.now, mono: () => systemClock.mono() + sleptMs };
    const lease = open(world, 'p1', clock);
    lease.start();
    await vi.waitFor(() => expect(lease.isOurs).toBe(true), RETRYING);
    const before = lease.token as number;
    sleptMs = 6_001;
    expect(lease.isOurs).toBe(false);
    expect(lease.token).toBeUndefined();
    await vi.waitFor(() => expect(lease.isOurs).toBe(true), RETRYING);
    expect(lease.told[1]).toBe('it could not be renewed in time');
    expect(lease.token).toBeGreaterThan(before);
  });
});

describe('two pods', () => {
  /** Who ran each job, of a lane whose jobs take a while. */
  async function race(world: World, pods: 'one' | 'all') {
    const shared = defineLane({ name: 'shared', pods, concurrency: 2 });
    const ran: string[] = [];
    const handlers = (pod: string) => [
      handle(shared, {
        async run(_, ctx) {
          ran.push(pod);
          await new Promise((resolve, reject) => {
            setTimeout(() => resolve(undefined), 20); // its work
            ctx.signal.addEventListener('abort', reject);
          });
        },
      }),
    ];
    const producer = await world.producer();
    const add = (count: number) =>
      producer.addMany(
        shared,
        Array.from({ length: count }, () => ({ payload: {} })),
      );
    const one = await world.pod(handlers('p1'), { name: 'p1' });
    await add(1);
    await vi.waitFor(() => expect(ran).toEqual(['p1']), RETRYING);
    const two = await world.pod(handlers('p2'), { name: 'p2' });
    return { shared, ran, add, one, two };
  }

  it('run a lane for one pod one after the other, and the second goes on when the first leaves', async ({ world }) => {
    const { shared, ran, add, one, two } = await race(world, 'one');
    const events = world.record(two);
    await add(20);
    await vi.waitFor(() => expect(ran).toHaveLength(21), RETRYING);
    expect(new Set(ran)).toEqual(new Set(['p1']));
    await one.stop('it leaves', 1_000);
    await add(5);
    await vi.waitFor(async () => expect(await world.queue(shared).queue.getCompletedCount()).toBe(26), RETRYING);
    expect(ran.slice(21)).toEqual(Array(5).fill('p2'));
    expect(events.find(({ name }) => name === 'run.taken')?.data).toMatchObject({ lane: 'shared', fromPod: 'p1' });
  });

  it('both run a lane for all pods (twin)', async ({ world }) => {
    const { ran, add } = await race(world, 'all');
    await add(20);
    await vi.waitFor(() => expect(ran).toHaveLength(21), RETRYING);
    expect(new Set(ran)).toEqual(new Set(['p1', 'p2']));
  });

  /** A pod at work on a job of a lane for one pod, until another has that turn; `onAbort`: whether and when its handler ends then. */
  async function losing(world: World, onAbort: (end: () => void) => void) {
    const slow = defineLane({ name: 'slow', pods: 'one' });
    const handler = handle(slow, {
      run: (_, { signal }) =>
        new Promise<string>((resolve) => signal.addEventListener('abort', () => onAbort(() => resolve('late')))),
    });
    const pod = await world.pod([handler], { name: 'p1' });
    const events = world.record(pod);
    const { id } = await (await world.producer()).add(slow, {});
    await vi.waitFor(() => expect(pod.running).toBe(1), RETRYING);
    // As another pod would have it by now.
    await world.redis.hset(world.keys.run(slow), 'pod', 'p2', 'token', '1');
    await vi.waitFor(() => expect(events.map(({ name }) => name)).toContain('run.lost'), RETRYING);
    const queue = world.queue(slow);
    const counts = () => queue.queue.getJobCounts('active', 'wait', 'completed', 'failed', 'delayed');
    const none = { active: 0, wait: 0, completed: 0, failed: 0, delayed: 0 };
    const ends = () => events.filter(({ name }) => /^(attempt\.(lost|returned|finished)|settle\.refused)$/.test(name));
    return { slow, pod, id, queue, counts, none, ends };
  }

  it('that lost its turn hands back what it ran, without a stall, settles nothing and fetches nothing more', async ({
    world,
  }) => {
    const { slow, pod, id, queue, counts, none, ends } = await losing(world, (end) => end());
    await vi.waitFor(() => expect(pod.running).toBe(0), RETRYING);
    expect(ends()).toMatchObject([
      { name: 'attempt.returned', data: { job: id, reason: 'another pod runs its lane now' } },
    ]);
    expect(await counts()).toEqual({ ...none, wait: 1 });
    expect(await world.redis.hmget(queue.jobKey(id), 'stc', 'atm')).toEqual([null, null]);
    expect(await world.redis.exists(`${queue.jobKey(id)}:lock`)).toBe(0);
    await (await world.producer()).add(slow, {});
    expect(await counts()).toEqual({ ...none, wait: 2 });
    // Whoever has the turn runs it.
    await world.redis.del(world.keys.run(slow));
    await world.pod([handle(slow, { run: () => 'again' })], { name: 'p2' });
    await vi.waitFor(async () => expect(await counts()).toMatchObject({ wait: 0 }), RETRYING);
  });

  it('leaves a job to its lock as long as its handler does not end: it never runs beside another (twin)', async ({
    world,
  }) => {
    let end = () => {};
    const { pod, id, queue, counts, none, ends } = await losing(world, (then) => {
      end = then;
    });
    expect(pod.running).toBe(1);
    expect(await counts()).toEqual({ ...none, active: 1 });
    expect(await world.redis.get(`${queue.jobKey(id)}:lock`)).toMatch(/^p1:/);
    expect(ends()).toEqual([]);
    end();
    await vi.waitFor(async () => expect(await counts()).toEqual({ ...none, wait: 1 }), RETRYING);
    expect(ends()).toMatchObject([{ name: 'attempt.returned' }]);
  });

  it('takes nothing back from a pod that has the job by now', async ({ world }) => {
    let end = () => {};
    const { pod, id, queue, counts, none, ends } = await losing(world, (then) => {
      end = then;
    });
    await world.redis.set(`${queue.jobKey(id)}:lock`, 'p2:0', 'PX', 20_000);
    end();
    await vi.waitFor(() => expect(pod.running).toBe(0), RETRYING);
    expect(await counts()).toEqual({ ...none, active: 1 });
    expect(await world.redis.get(`${queue.jobKey(id)}:lock`)).toBe('p2:0');
    expect(ends()).toMatchObject([{ name: 'settle.refused', data: { outcome: 'return' } }]);
  });

  it('that slept through its lock leaves the job to whoever finds it', async ({ world }) => {
    let sleptMs = 0;
    const clock = { now: systemClock.now, mono: () => systemClock.mono() + sleptMs };
    const slow = defineLane({ name: 'slow', pods: 'one' });
    const pod = await world.pod([handle(slow, { run: () => new Promise(() => {}) })], { clock });
    const events = world.record(pod);
    await (await world.producer()).add(slow, {});
    await vi.waitFor(() => expect(pod.running).toBe(1), RETRYING);
    sleptMs = 30_000;
    await vi.waitFor(() => expect(pod.running).toBe(0), RETRYING);
    expect(events.map(({ name }) => name)).toContain('attempt.lost');
    expect(await world.queue(slow).queue.getActiveCount()).toBe(1);
  });
});
