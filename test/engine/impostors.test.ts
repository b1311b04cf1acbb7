// A plain producer's job whose id is a name of the queue's own: what BullMQ does with each, and that a sweep buries it and the
// lane works again with nobody's help.

import { describe, expect, vi } from 'vitest';
import { buryImpostors } from '../../src/engine/impostors.ts';
import { createMetrics } from '../../src/engine/metrics.ts';
import { dead, defineLane, handle, retry } from '../../src/index.ts';
import { listDead, replayDead } from '../../src/path/dead-letters.ts';
import { listJobs, showJob } from '../../src/path/inspect.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { RESERVED_NAMES, TYPE_OF_RESERVED } from '../../src/store/reserved-names.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub, type Events } from '../../src/words/events.ts';
import { BY_ANN, RETRYING, rejection, tick, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'beset', concurrency: 4 });
const HOWS = { plain: {}, delayed: { delay: 3_600_000 }, ranked: { priority: 3 } } as const;
type How = keyof typeof HOWS;

/**
 * What BullMQ 6.7 does with `add` under that id: `refused` with WRONGTYPE and nothing stands; `dropped`: reported as added, and
 * its data stands nowhere; `lies`: it lies where the queue's own key should. `stops`: of those that lie, what breaks.
 */
const FATE: {
  name: string;
  busy: 'refused' | 'dropped' | 'lies';
  empty: 'refused' | 'dropped' | 'lies';
  stops: boolean;
}[] = [
  ...['wait', 'active', 'delayed', 'prioritized', 'pc', 'marker', 'events'].map(
    (name) => ({ name, busy: 'refused', empty: 'lies', stops: true }) as const,
  ),
  { name: 'id', busy: 'refused', empty: 'refused', stops: false },
  { name: 'meta', busy: 'dropped', empty: 'dropped', stops: false },
  ...['paused', 'stalled'].map((name) => ({ name, busy: 'lies', empty: 'lies', stops: true }) as const),
  // These run as jobs first; `completed` and `failed` break at the first settle, `stalled-check` blinds the sweep for stalls.
  ...['completed', 'failed', 'stalled-check', 'limiter', 'repeat', 'waiting-children', 'metrics:completed:data'].map(
    (name) => ({ name, busy: 'lies', empty: 'lies', stops: false }) as const,
  ),
];
const CASES = FATE.flatMap((row) =>
  (Object.keys(HOWS) as How[]).flatMap((how) =>
    (['busy', 'empty'] as const).map((on) => ({ ...row, how, on, fate: row[on] })),
  ),
);

function sweep(world: World, queue: LaneQueue, pod = 'sweeper') {
  const events = createEventHub();
  const buried: Events['job.buried'][] = [];
  const recovered: Events['job.recovered'][] = [];
  events.on('job.buried', (data) => void buried.push(data));
  events.on('job.recovered', (data) => void recovered.push(data));
  const run = () => buryImpostors(queue, { pod, keys: world.keys, clock: systemClock, events });
  return { run, buried, recovered };
}

function add(queue: LaneQueue, name: string, how: How = 'plain') {
  return queue.queue.add('n', { from: name }, { ...HOWS[how], jobId: name }).then(
    () => 'added',
    (error: Error) => error.message,
  );
}

/** Jobs in every set, as a lane at work has them. */
async function fill(queue: LaneQueue): Promise<void> {
  await queue.queue.add('n', 'active');
  await queue.backend.moveToActive('t', 'another');
  await queue.queue.add('n', 'waiting');
  await queue.queue.add('n', 'delayed', { delay: 3_600_000 });
  await queue.queue.add('n', 'ranked', { priority: 2 });
}

/** Whether a lane does what a lane does: takes each kind of job, fetches, sweeps, pauses and resumes. */
async function works({ queue, backend }: LaneQueue): Promise<string> {
  try {
    await queue.add('n', 'a');
    await queue.add('n', 'b', { priority: 1 });
    await queue.add('n', 'c', { delay: 3_600_000 });
    await queue.pause();
    await queue.resume();
    await backend.moveToActive('t', 'p');
    await backend.moveStalledJobsToWait();
    return 'works';
  } catch (error) {
    return (error as Error).message;
  }
}

async function typesAreRight(queue: LaneQueue): Promise<void> {
  for (const name of RESERVED_NAMES)
    expect(['none', TYPE_OF_RESERVED[name]], name).toContain(await queue.redis.type(queue.backend.toKey(name)));
}

describe('a job whose id is a name of the queue’s own', () => {
  it.for(CASES)(
    '$name, added $how to a lane that is $on: $fate; a sweep buries what lies, and the lane works',
    async ({ name, how, on, fate }, { world }) => {
      const queue = world.queue(lane);
      if (on === 'busy') await fill(queue);
      const answer = await add(queue, name, how);
      if (fate === 'refused') expect(answer).toContain('WRONGTYPE');
      const isHash = (await world.redis.type(queue.backend.toKey(name))) === 'hash';
      const hasData = isHash && (await world.redis.hexists(queue.backend.toKey(name), 'data')) === 1;
      expect(hasData).toBe(fate === 'lies');

      const { run, buried } = sweep(world, queue);
      await run();
      await typesAreRight(queue);
      expect(await works(queue)).toBe('works');
      const letters = await listDead(queue, 10);
      expect(buried.map(({ job }) => job)).toEqual(letters.map(({ id }) => id));
      expect(letters).toHaveLength(fate === 'lies' ? 1 : 0);
      if (fate !== 'lies') return;
      expect(letters[0]).toMatchObject({
        id: expect.stringMatching(/^j[0-9A-Za-z]{15}$/),
        class: 'refused',
        payload: { from: name },
        reason: expect.stringContaining(`its id '${name}' is a name of the queue's own: `),
        stacks: [{ class: 'refused', pod: 'sweeper' }],
      });
      expect(buried[0]).toMatchObject({ lane: 'beset', class: 'refused' });
      await run();
      expect(await listDead(queue, 10), 'a second sweep finds nothing').toHaveLength(1);
    },
  );

  it.for(FATE.filter(({ stops }) => stops).map(({ name }) => name))(
    '%s stops its lane for good when nobody sweeps (twin)',
    async (name, { world }) => {
      const queue = world.queue(lane);
      await add(queue, name);
      expect(await works(queue)).toContain('WRONGTYPE');
      expect(await world.redis.type(queue.backend.toKey(name))).toBe('hash');
    },
  );

  it('meta is reported as added by BullMQ and stands nowhere: nothing is left that could be buried', async ({
    world,
  }) => {
    const queue = world.queue(lane);
    expect(await add(queue, 'meta')).toBe('added');
    expect(await queue.backend.getCounts(['wait', 'delayed', 'prioritized', 'active'])).toEqual([0, 0, 0, 0]);
    expect(await world.redis.hgetall(queue.backend.toKey('meta'))).not.toHaveProperty('data');
  });

  it('is taken out of the meta hash, should it stand in it, and the queue’s own fields stay', async ({ world }) => {
    const queue = world.queue(lane);
    const meta = queue.backend.toKey('meta');
    await world.redis.hset(meta, {
      'opts.maxLenEvents': 77,
      concurrency: 9,
      name: 'n',
      data: '{"a":1}',
      opts: '{}',
      timestamp: 5,
    });
    await sweep(world, queue).run();
    expect(await world.redis.hgetall(meta)).toEqual({ 'opts.maxLenEvents': '77', concurrency: '9' });
    expect(await listDead(queue, 10)).toMatchObject([{ payload: { a: 1 }, enqueuedAt: 5, class: 'refused' }]);
  });

  it('pc, whose data BullMQ deletes when it finds the lane empty, is still told', async ({ world }) => {
    const queue = world.queue(lane);
    await add(queue, 'pc', 'delayed');
    await queue.backend.moveToActive('t', 'p');
    expect(await world.redis.exists(queue.backend.toKey('pc'))).toBe(0);
    await sweep(world, queue).run();
    expect(await listDead(queue, 10)).toMatchObject([{ payload: null, class: 'refused' }]);
    expect(await queue.backend.getCounts(['delayed'])).toEqual([0]);
  });

  it('and ended before the sweep moves to a fresh id and stays what it is', async ({ world }) => {
    const queue = world.queue(lane);
    await add(queue, 'limiter');
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    await untilState(queue, 'limiter', 'done');
    await pod.stop('over');
    const { run, buried } = sweep(world, queue);
    await run();
    expect(buried).toEqual([]);
    expect(await listJobs(queue, ['done'], 10)).toMatchObject([{ payload: { from: 'limiter' }, result: 'ran' }]);
    expect(await rejection(showJob(queue, 'limiter'))).toMatchObject({ code: 'LK_UNKNOWN' });
  });

  it('gives back its deduplication id', async ({ world }) => {
    const queue = world.queue(lane);
    const deduplication = { id: 'same' };
    await queue.queue.add('n', 1, { jobId: 'limiter', deduplication });
    expect((await queue.queue.add('n', 2, { deduplication })).id).toBe('limiter');
    await sweep(world, queue).run();
    expect((await queue.queue.add('n', 3, { deduplication })).id).not.toBe('limiter');
  });

  it('can be replayed under its fresh id', async ({ world }) => {
    const queue = world.queue(lane);
    await add(queue, 'wait');
    await sweep(world, queue).run();
    const [letter] = await listDead(queue, 1);
    await replayDead(queue, letter?.id as string, BY_ANN);
    await world.pod([handle(lane, { run: ({ payload }) => payload })]);
    expect(await untilState(queue, letter?.id as string, 'done')).toMatchObject({ result: { from: 'wait' } });
  });

  it('is buried once by many that sweep at once, also after Redis forgot its scripts', async ({ world }) => {
    const queue = world.queue(lane);
    const sweeps = Array.from({ length: 8 }, (_, n) => sweep(world, queue, `pod-${n}`));
    for (const name of ['wait', 'completed', 'limiter']) {
      await add(queue, name);
      await world.redis.script('FLUSH');
      await Promise.all(sweeps.map(({ run }) => run()));
    }
    expect(sweeps.flatMap(({ buried }) => buried)).toHaveLength(3);
    expect(await listDead(queue, 10)).toHaveLength(3);
    await typesAreRight(queue);
  });
});

it('a sweep of a lane at work is one command', async ({ world }) => {
  const queue = world.queue(lane);
  await fill(queue);
  const { run } = sweep(world, queue);
  await run(); // so that Redis knows its scripts
  const sent = vi.spyOn(world.redis, 'sendCommand');
  world.defer(() => sent.mockRestore());
  await run();
  expect(sent.mock.calls.map(([command]) => command.name)).toEqual(['evalsha']);
});

describe('pods', () => {
  it.for(['wait', 'marker', 'active', 'delayed'])(
    'sweep %s away within seconds, tell it once, and run what comes after it',
    async (name, { world }) => {
      const queue = world.queue(lane);
      const pods = [
        await world.pod([handle(lane, { run: () => 'ran' })]),
        await world.pod([handle(lane, { run: () => 'ran' })]),
      ];
      const seen = pods.map((pod) => world.record(pod));
      const metrics = createMetrics('0');
      for (const pod of pods) metrics.subscribe(pod.events);
      await add(queue, name);
      const startedAt = systemClock.mono();
      await vi.waitFor(async () => {
        expect(await queue.backend.getCounts(['failed'])).toEqual([1]);
      }, RETRYING);
      expect(systemClock.mono() - startedAt).toBeLessThan(6_000);
      const { id } = await (await world.producer()).add(lane, 'after');
      await untilState(queue, id, 'done');
      const told = await vi.waitFor(async () => {
        const found = seen.flat().filter(({ name: event }) => event === 'job.buried');
        expect(found).toHaveLength(1);
        return found[0]?.data as Events['job.buried'];
      }, RETRYING);
      expect(await metrics.registry.metrics()).toContain('lanekeeper_dead_total{lane="beset",class="refused"} 1');
      await vi.waitFor(async () => {
        const entries = await world.redis.xrange(world.keys.journal('beset'), '-', '+');
        const text = JSON.stringify(entries);
        expect(text.split('job.buried')).toHaveLength(2);
        expect(text).toContain(told.job);
      }, RETRYING);
    },
  );

  it('lose no delayed job that a fetch dropped when it broke off on an impostor', async ({ world }) => {
    const queue = world.queue(lane);
    await queue.queue.add('n', 'later', { delay: 1, jobId: 'dropped' });
    tick();
    tick();
    await add(queue, 'wait');
    expect(await rejection(queue.backend.moveToActive('t', 'p'))).toMatchObject({
      message: expect.stringContaining('WRONGTYPE'),
    });
    expect(await world.redis.zscore(queue.backend.toKey('delayed'), 'dropped'), 'BullMQ dropped it').toBeNull();
    await world.pod([handle(lane, { run: () => 'ran' })]);
    expect(await untilState(queue, 'dropped', 'done')).toMatchObject({ result: 'ran' });
  });

  it('find no impostor in a healthy lane at work, with every kind of job in it (twin)', async ({ world }) => {
    const queue = world.queue(lane);
    const producer = await world.producer();
    let runs = 0;
    const pods = [1, 2].map(() =>
      world.pod([
        handle(lane, { run: () => (++runs % 7 === 0 ? dead('no') : runs % 5 === 0 ? retry({ after: 1 }) : null) }),
      ]),
    );
    const seen = (await Promise.all(pods)).map((pod) => world.record(pod));
    const { run, buried, recovered } = sweep(world, queue);
    for (let round = 0; round < 40; round++) {
      const added = producer.addMany(
        lane,
        Array.from({ length: 50 }, (_, n) => ({
          payload: n,
          priority: n % 3,
          ...(n % 10 === 0 ? { at: Date.UTC(2040, 0, 1) } : {}),
        })),
      );
      await world.redis.set(world.keys.orphans(lane), round); // the search for orphans too
      await Promise.all([added, run(), queue.queue.add('n', 'plain')]);
    }
    await vi.waitFor(async () => {
      expect(await queue.backend.getCounts(['wait', 'prioritized', 'active'])).toEqual([0, 0, 0]);
    }, RETRYING);
    expect([...buried, ...recovered]).toEqual([]);
    expect(seen.flat().filter(({ name }) => name === 'job.buried' || name === 'job.recovered')).toEqual([]);
    expect(await world.redis.exists(world.keys.orphans(lane))).toBe(0);
  });
});
