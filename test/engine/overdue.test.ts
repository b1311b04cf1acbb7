// What should have happened and has not is noticed, told once when it begins and once when it is over, by one of all who look.

import { describe, expect, vi } from 'vitest';
import { alarmsOf, readAlarms } from '../../src/engine/alarms.ts';
import { createMetrics } from '../../src/engine/metrics.ts';
import { lookForOverdue, OVERPARKED_MS, UNATTENDED_MS } from '../../src/engine/overdue.ts';
import { defineLane, handle, type Lane } from '../../src/index.ts';
import { readHeads } from '../../src/path/heads.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub, type EventName } from '../../src/words/events.ts';
import { RETRYING, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'slow', due: '1m' });

/** One process that looks, and what it told. */
function watcher(world: World, of: Lane = lane) {
  const events = createEventHub();
  const told: { name: EventName; data: Record<string, unknown> }[] = [];
  events.onAny((name, data) => void told.push({ name, data: data as Record<string, unknown> }));
  const lanes = [{ lane: of, laneQueue: world.queue(of) }];
  const look = () =>
    lookForOverdue({ who: 'w', redis: world.redis, keys: world.keys, clock: systemClock, events, lanes });
  return { look, told, names: () => told.map(({ name }) => name), events };
}

/** A pod in the list that runs the lane, which last spoke so long ago. */
async function podSeen(world: World, agoMs: number, pod = 'p1'): Promise<void> {
  const seenAt = (await redisNow(world.redis)) - agoMs;
  const facts = {
    pid: 1,
    host: 'h',
    lanes: [lane.name],
    concurrency: 8,
    state: 'running',
    startedAt: 0,
    metricsUrl: null,
  };
  await world.redis.hset(world.keys.pods(), pod, JSON.stringify({ ...facts, seenAt }));
}

async function addedAgo({ queue }: LaneQueue, agoMs: number, opts: object = {}): Promise<string> {
  const { id } = await queue.add('n', null, { timestamp: systemClock.now() - agoMs, ...opts });
  return id as string;
}

describe('a lane that is overdue', () => {
  it('is told once when its oldest job has waited longer than due, and once when it has caught up', async ({
    world,
  }) => {
    const queue = world.queue(lane);
    const { look, told } = watcher(world);
    await podSeen(world, 0);
    await addedAgo(queue, 50_000);
    await look();
    expect(told, 'not yet (twin)').toEqual([]);
    const job = await addedAgo(queue, 90_000, { lifo: true });
    for (let n = 0; n < 5; n++) await look();
    expect(told).toEqual([
      { name: 'lane.overdue', data: { lane: 'slow', job, ageMs: expect.any(Number), dueMs: 60_000 } },
    ]);
    expect(told[0]?.data.ageMs).toBeGreaterThanOrEqual(90_000);
    await queue.backend.remove(job, false);
    // The next is 50 s old: not over, for it would be told again in 10 s.
    for (let n = 0; n < 3; n++) await look();
    expect(told).toHaveLength(1);
    await queue.queue.drain();
    for (let n = 0; n < 3; n++) await look();
    expect(told.slice(1)).toEqual([{ name: 'lane.recovered', data: { lane: 'slow', forMs: expect.any(Number) } }]);
  });

  it.for([
    ['the wait list', {}],
    ['the ranks', { priority: 5 }],
  ] as const)('is seen in %s', async ([, opts], { world }) => {
    const { look, names } = watcher(world);
    await podSeen(world, 0);
    await addedAgo(world.queue(lane), 90_000, opts);
    await look();
    expect(names()).toEqual(['lane.overdue']);
  });

  it('is seen in the lowest rank, which starves while higher ones keep coming', async ({ world }) => {
    const queue = world.queue(lane);
    const { look, told } = watcher(world);
    await podSeen(world, 0);
    const starving = await addedAgo(queue, 90_000, { priority: 9 });
    await addedAgo(queue, 10, { priority: 9 });
    for (let n = 0; n < 5; n++) await addedAgo(queue, 10, { priority: 1 });
    await look();
    expect(told).toMatchObject([{ name: 'lane.overdue', data: { job: starving } }]);
  });

  it('counts from the instant for which a job was scheduled, and never without due', async ({ world }) => {
    const { look, told } = watcher(world);
    await podSeen(world, 0);
    const id = await addedAgo(world.queue(lane), 90_000, { delay: 80_000 });
    await world.queue(lane).backend.promote(id);
    await look();
    const endless = defineLane({ name: 'slow' });
    const other = watcher(world, endless);
    await addedAgo(world.queue(endless), 9_000_000, { lifo: true });
    await other.look();
    expect([...told, ...other.told]).toEqual([]);
  });
});

describe('the heads of a lane', () => {
  it('leave out a job that is gone by the time it is read', async ({ world }) => {
    const queue = world.queue(lane);
    const id = await addedAgo(queue, 90_000);
    await world.redis.del(queue.jobKey(id));
    expect((await readHeads(queue, systemClock.now())).oldest).toBeUndefined();
  });

  it('are nothing in an empty lane', async ({ world }) => {
    const heads = await readHeads(world.queue(lane), systemClock.now());
    expect(heads).toEqual({ oldest: undefined, late: undefined, active: 0, isPaused: false });
  });

  it('are the oldest of all its sets, what is late, what runs and a pause, also after Redis forgot its scripts', async ({
    world,
  }) => {
    const queue = world.queue(lane);
    const look = () => readHeads(queue, systemClock.now());
    await addedAgo(queue, 1_000);
    await queue.backend.moveToActive('t', 'p');
    const ages = [
      [10_000, {}],
      [20_000, { priority: 3 }],
      [30_000, { priority: 2_000_000 }],
      [50_000, { delay: 10_000 }],
    ] as const;
    for (const [agoMs, opts] of ages) {
      const job = await addedAgo(queue, agoMs, opts);
      await world.redis.script('FLUSH');
      expect((await look()).oldest).toMatchObject({ job });
    }
    await addedAgo(queue, 0, { delay: 60_000 });
    await queue.queue.pause();
    const { oldest, late, ...rest } = await look();
    expect(late).toEqual(oldest);
    expect(rest).toEqual({ active: 1, isPaused: true });
  });
});

describe('a parked job beyond its until', () => {
  it('is told once while a pod could take it, and once when it is gone', async ({ world }) => {
    const queue = world.queue(lane);
    const { look, told } = watcher(world);
    await podSeen(world, 0);
    const id = await addedAgo(queue, OVERPARKED_MS + 6_000, { delay: 5_000 });
    for (let n = 0; n < 3; n++) await look();
    expect(told).toEqual([{ name: 'lane.overparked', data: { lane: 'slow', job: id, lateMs: expect.any(Number) } }]);
    await queue.backend.remove(id, false);
    for (let n = 0; n < 3; n++) await look();
    expect(told.slice(1)).toEqual([{ name: 'lane.unparked', data: { lane: 'slow', forMs: expect.any(Number) } }]);
  });

  it('is not told a little late, in a paused lane, or while every slot is taken (twin)', async ({ world }) => {
    const one = defineLane({ name: 'slow', concurrency: 1 });
    const queue = world.queue(one);
    const { look, told } = watcher(world, one);
    await podSeen(world, 0);
    const id = await addedAgo(queue, 10_000, { delay: 5_000 });
    await look();
    await queue.backend.remove(id, false);
    await addedAgo(queue, 0);
    await queue.backend.moveToActive('t', 'p1');
    await addedAgo(queue, 60_000, { delay: 5_000 });
    await look();
    await queue.queue.pause();
    await look();
    expect(told).toEqual([]);
  });
});

describe('a lane with work and no pod', () => {
  it('is told once, and once when a pod runs it', async ({ world }) => {
    const { look, told } = watcher(world);
    const job = await addedAgo(world.queue(lane), UNATTENDED_MS + 1_000);
    for (let n = 0; n < 3; n++) await look();
    expect(told).toEqual([{ name: 'lane.unattended', data: { lane: 'slow', job, ageMs: expect.any(Number) } }]);
    await podSeen(world, 0);
    for (let n = 0; n < 3; n++) await look();
    expect(told.slice(1)).toEqual([{ name: 'lane.attended', data: { lane: 'slow', forMs: expect.any(Number) } }]);
  });

  it('is not told without work, in a paused lane, or while a pod may be starting (twin)', async ({ world }) => {
    const { look, told } = watcher(world);
    await look();
    await addedAgo(world.queue(lane), 10);
    await look();
    await addedAgo(world.queue(lane), 30_000, { lifo: true });
    await world.queue(lane).queue.pause();
    await look();
    expect(told).toEqual([]);
  });

  it('is told by the API process, for no pod is there to tell it', async ({ world }) => {
    const child = world.spawn(['api']);
    child.stdout?.resume();
    child.stderr?.resume();
    await world.cli(['add', 'publish', JSON.stringify({ title: 'a', body: 'b' })]);
    await vi.waitFor(
      async () => {
        const text = JSON.stringify(await world.redis.xrange(world.keys.journal('forum'), '-', '+'));
        expect(text.split('lane.unattended')).toHaveLength(2);
        expect(text).toContain('api@');
      },
      { timeout: 20_000, interval: 100 },
    );
    const { stdout } = await world.cli(['lanes', '--json']);
    const lanes = JSON.parse(stdout) as { lane: string; alarms: string[] }[];
    expect(lanes.find(({ lane: name }) => name === 'publish')?.alarms).toEqual([
      expect.stringMatching(/^unattended: it has work and no running pod/),
    ]);
  });
});

describe('a pod that fell silent', () => {
  it('is told once, and once when it is heard again', async ({ world }) => {
    const { look, told } = watcher(world);
    await podSeen(world, 6_000);
    await look();
    expect(told, 'not yet (twin)').toEqual([]);
    await podSeen(world, 8_000);
    for (let n = 0; n < 3; n++) await look();
    expect(told).toEqual([{ name: 'pod.silent', data: { pod: 'p1', silentMs: expect.any(Number), lanes: ['slow'] } }]);
    await podSeen(world, 0);
    for (let n = 0; n < 3; n++) await look();
    expect(told.slice(1)).toEqual([{ name: 'pod.heard', data: { pod: 'p1', forMs: expect.any(Number) } }]);
  });

  it('is not told when it said goodbye, and is forgotten without a word after a minute', async ({ world }) => {
    const { look, names } = watcher(world);
    await podSeen(world, 8_000);
    await look();
    await podSeen(world, 61_000);
    await look();
    await look();
    expect(names()).toEqual(['pod.silent']);
    expect(await readAlarms(world.redis, world.keys)).toEqual([]);
    const pod = await world.pod([handle(lane, { run: () => null })]);
    await vi.waitFor(async () => expect(await world.redis.hexists(world.keys.pods(), pod.name)).toBe(1), RETRYING);
    await pod.stop('over');
    await look();
    expect(names()).toEqual(['pod.silent']);
  });
});

describe('all who look', () => {
  it('tell each thing once between them', async ({ world }) => {
    const watchers = Array.from({ length: 8 }, () => watcher(world));
    await addedAgo(world.queue(lane), 90_000);
    await podSeen(world, 10_000);
    const all = () => Promise.all(watchers.map(({ look }) => look()));
    for (let n = 0; n < 3; n++) await all();
    const names = () => watchers.flatMap((one) => one.names()).sort();
    expect(names()).toEqual(['lane.overdue', 'lane.unattended', 'pod.silent']);
    await world.queue(lane).queue.drain();
    await podSeen(world, 0);
    for (let n = 0; n < 3; n++) await all();
    expect(names().slice().sort()).toEqual(
      ['lane.overdue', 'lane.unattended', 'pod.silent', 'lane.recovered', 'lane.attended', 'pod.heard'].sort(),
    );
  });

  it('cost the same for a long line as for a short one', async ({ world }) => {
    const queue = world.queue(lane);
    await podSeen(world, 0);
    const { look } = watcher(world);
    await look(); // so that Redis knows its scripts
    const commands = async () => {
      const sent = vi.spyOn(world.redis, 'sendCommand');
      await look();
      const names = sent.mock.calls.map(([command]) => command.name);
      sent.mockRestore();
      return names.sort();
    };
    await addedAgo(queue, 0);
    await addedAgo(queue, 0, { priority: 1 });
    const short = await commands();
    await queue.queue.addBulk(
      Array.from({ length: 2_000 }, (_, n) => ({ name: 'n', data: n, opts: n % 2 ? { priority: (n % 7) + 1 } : {} })),
    );
    expect(await commands()).toEqual(short);
    expect(short.filter((name) => name === 'evalsha')).toHaveLength(1);
  });
});

describe('pods at work', () => {
  it('notice by themselves, journal it and count it; the gauge tells how old the oldest is', async ({ world }) => {
    const tight = defineLane({ name: 'slow', due: '200ms', concurrency: 1 });
    const pods = [await world.pod([handle(tight, { run: () => new Promise(() => {}) })])];
    const metrics = createMetrics('0');
    metrics.subscribe(pods[0]?.events as NonNullable<(typeof pods)[0]>['events']);
    metrics.watchLanes([world.queue(tight)], async () => []);
    const producer = await world.producer();
    const first = await producer.add(tight, 1);
    await untilState(world.queue(tight), first.id, 'active');
    const second = await producer.add(tight, 2);
    await vi.waitFor(async () => {
      const text = JSON.stringify(await world.redis.xrange(world.keys.journal('slow'), '-', '+'));
      expect(text.split('lane.overdue')).toHaveLength(2);
      expect(text).toContain(second.id);
    }, RETRYING);
    const text = await metrics.registry.metrics();
    expect(text).toContain('lanekeeper_alarms_total{alarm="lane.overdue",lane="slow"} 1');
    expect(Number(/lanekeeper_oldest_waiting_seconds\{lane="slow"\} (\S+)/.exec(text)?.[1])).toBeGreaterThan(0.2);
    expect(alarmsOf(await readAlarms(world.redis, world.keys), 'slow', systemClock.now())).toEqual([
      expect.stringContaining(`overdue: ${second.id} has waited for`),
    ]);
    expect((await readHeads(world.queue(tight), systemClock.now())).oldest).toMatchObject({ job: second.id });
  });

  it('raise nothing when all is well (twin)', async ({ world }) => {
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    const seen = world.record(pod);
    const producer = await world.producer();
    const added = await producer.addMany(
      lane,
      Array.from({ length: 300 }, (_, n) => ({ payload: n, priority: n % 3 })),
    );
    const { look, told } = watcher(world);
    await vi.waitFor(async () => expect(await world.redis.hexists(world.keys.pods(), pod.name)).toBe(1), RETRYING);
    for (const { id } of added) {
      await look();
      await untilState(world.queue(lane), id, 'done');
    }
    expect(told).toEqual([]);
    expect(seen.filter(({ name }) => name.startsWith('lane.') || name === 'pod.silent')).toEqual([]);
  });
});
