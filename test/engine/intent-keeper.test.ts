// Orders whose change is BullMQ's: wherever who gives one dies, the journal tells once what became of it, and tells what is the case.

import { afterEach, describe, expect, vi } from 'vitest';
import { createIntentKeeper } from '../../src/engine/intent-keeper.ts';
import { createJournalTrim, KEEP_MS } from '../../src/engine/journal-trim.ts';
import { dead, defineLane, handle } from '../../src/index.ts';
import { underIntent } from '../../src/path/audited.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { cancelAnyJob } from '../../src/path/cancel-orders.ts';
import { replayDead } from '../../src/path/dead-letters.ts';
import { showJob } from '../../src/path/inspect.ts';
import { pauseLane, readPause, resumeLane } from '../../src/path/pause.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { systemClock } from '../../src/words/clock.ts';
import type { OrderPoint } from '../../src/words/crash-point.ts';
import { createEventHub } from '../../src/words/events.ts';
import { bury, letterId } from '../path/letter-flood.ts';
import { BY_ANN, gate, rejection, untilState } from '../path/looking.ts';
import { journalled, type Told } from '../support/journalled.ts';
import { it, type World } from '../support/world.ts';

/** Where the process of who gives the order dies; what is thrown there nobody catches, so nothing comes after it. */
const death = vi.hoisted(() => ({ at: undefined as string | undefined }));
vi.mock('../../src/words/crash-point.ts', () => ({
  crashPoint(name: string) {
    if (name === death.at) throw new Error('killed');
  },
}));
afterEach(() => {
  death.at = undefined;
});

const POINTS: OrderPoint[] = ['before-intent', 'after-intent', 'after-change', 'after-result'];
const lane = defineLane({ name: 'orders', concurrency: 1 });

async function keep(world: World, ripeMs = 0): Promise<void> {
  const { redis, keys } = world;
  const failing: unknown[] = [];
  const events = createEventHub();
  events.on('redis.failing', (data) => void failing.push(data));
  const keeper = createIntentKeeper({ who: 'pod-1', redis, keys, events, ripeMs });
  await redis.del(keys.beat('intents', 'all'));
  await keeper.once();
  expect(failing).toEqual([]);
}

interface Given {
  queue: LaneQueue;
  give: () => Promise<unknown>;
  /** Before and after it was carried out. */
  state: () => Promise<unknown>;
}

/** Each kind of order, ready to be given. */
const ORDERS: Record<string, (world: World) => Promise<Given & { what: string; before: unknown; after: unknown }>> = {
  async pause(world) {
    const queue = world.queue(lane);
    const give = () => pauseLane(queue, world.keys, { ...BY_ANN, sinceAt: systemClock.now() });
    const state = async () => (await readPause(queue, world.keys)) !== undefined;
    return { queue, give, state, what: 'lane.paused', before: false, after: true };
  },
  async resume(world) {
    const queue = world.queue(lane);
    await pauseLane(queue, world.keys, { who: 'bob', reason: 'before', sinceAt: systemClock.now() });
    await world.redis.del(world.keys.journal(lane.tag));
    const give = () => resumeLane(queue, world.keys, BY_ANN);
    const state = async () => (await readPause(queue, world.keys)) !== undefined;
    return { queue, give, state, what: 'lane.resumed', before: true, after: false };
  },
  async cancel(world) {
    const queue = world.queue(lane);
    const { id } = await (await world.producer()).add(lane, null);
    const give = () => cancelJob(queue, world.keys, id, BY_ANN);
    const state = async () => (await queue.redis.exists(queue.jobKey(id))) === 1;
    return { queue, give, state, what: 'job.cancelled', before: true, after: false };
  },
  async 'cancel of a job that runs'(world) {
    const queue = world.queue(lane);
    const { id } = await (await world.producer()).add(lane, null);
    await queue.backend.moveToActive('frozen:0', 'frozen-pod');
    // It takes no answer from a pod that is frozen; what it ordered stands.
    const clock = { ...systemClock, mono: () => (monoMs += 2_000) };
    let monoMs = 0;
    const give = async () => {
      const { keys } = world;
      const refused = await rejection(cancelAnyJob({ laneQueue: queue, keys, id, ...BY_ANN, clock }));
      if (refused.message === 'killed') throw refused;
    };
    const state = async () => (await queue.redis.hlen(world.keys.cancels())) === 1;
    return { queue, give, state, what: 'cancel.ordered', before: false, after: true };
  },
  async replay(world) {
    const queue = world.queue(lane);
    await bury(queue, { count: 1 });
    const give = () => replayDead(queue, letterId(0), BY_ANN);
    const state = async () => (await showJob(queue, letterId(0))).state;
    return { queue, give, state, what: 'job.replayed', before: 'dead', after: 'waiting' };
  },
};

const told = async (world: World) => journalled(world, lane.tag);
const results = (entries: Told[]) => entries.filter(({ what }) => what !== 'order.begun');

describe.each(Object.keys(ORDERS))('%s', (name) => {
  const arrange = ORDERS[name] as NonNullable<(typeof ORDERS)[string]>;

  it.for(POINTS)('whose giver dies %s is told once, as it is', async (point, { world }) => {
    const { give, state, what, before, after } = await arrange(world);
    death.at = point;
    await expect(give()).rejects.toThrow('killed');
    death.at = undefined;
    const isDone = point === 'after-change' || point === 'after-result';
    expect(await state()).toBe(isDone ? after : before);

    const bySelf = await told(world);
    const missing = results(bySelf).length === 0;
    expect(missing, 'without a keeper the result lacks (twin)').toBe(point !== 'after-result');
    await Promise.all([keep(world), keep(world)]);
    await keep(world);

    expect(await state(), 'who looks changes nothing').toBe(isDone ? after : before);
    const entries = await told(world);
    if (point === 'before-intent') return expect(entries).toEqual([]);
    const [begun, result, ...more] = entries;
    expect(more).toEqual([]);
    expect(begun).toMatchObject({
      what: 'order.begun',
      order: what,
      lane: 'orders',
      ...BY_ANN,
      intent: expect.stringMatching(/^i_/),
    });
    const { intent } = begun as Told;
    const found = point === 'after-result' ? {} : { found: expect.any(String) };
    if (isDone) expect(result).toMatchObject({ what, ...BY_ANN, intent, after: expect.any(String), ...found });
    else expect(result).toMatchObject({ what: 'order.voided', order: what, ...BY_ANN, intent, ...found });
    expect(result).toHaveProperty('before');
    expect(await world.redis.hlen(world.keys.intents(lane.tag))).toBe(point === 'after-intent' ? 1 : 0);
  });

  it('that nobody disturbs is told once, and leaves nothing open', async ({ world }) => {
    const { give, state, what, after } = await arrange(world);
    await give();
    await keep(world);
    expect(await state()).toBe(after);
    expect((await told(world)).map((entry) => entry.what)).toEqual(['order.begun', what]);
    expect(await world.redis.exists(world.keys.intents(lane.tag))).toBe(0);
  });
});

describe('who was only stopped', () => {
  it('and does it after all is told then; who did it before is not told twice', async ({ world }) => {
    for (const isLate of [true, false]) {
      const queue = world.queue(lane);
      const held = gate();
      const order = { what: 'lane.paused', ...BY_ANN, before: 'running' } as const;
      const given = underIntent(queue, order, async (intent) => {
        const record = JSON.stringify({ ...BY_ANN, sinceAt: 1, intent });
        const pause = async () => {
          await world.redis.hset(world.keys.pause(lane), 'pause', record);
          await queue.queue.pause();
        };
        if (!isLate) await pause();
        await held.opened;
        if (isLate) await pause();
        return { after: 'paused' };
      });
      await vi.waitFor(async () => expect(await told(world)).not.toEqual([]));
      if (!isLate) await vi.waitFor(async () => expect(await queue.queue.isPaused()).toBe(true));
      await keep(world);
      held.open();
      expect(await given).toBe(true);
      await keep(world);
      const expected = isLate ? ['order.begun', 'order.voided', 'lane.paused'] : ['order.begun', 'lane.paused'];
      expect((await told(world)).map(({ what }) => what)).toEqual(expected);
      await queue.queue.resume();
      await world.redis.del(world.keys.journal(lane.tag), world.keys.pause(lane));
    }
  });

  it('is left alone as long as it may still be at it', async ({ world }) => {
    const { give } = await (ORDERS.pause as NonNullable<typeof ORDERS.pause>)(world);
    death.at = 'after-change';
    await expect(give()).rejects.toThrow('killed');
    await keep(world, 60_000);
    expect(results(await told(world))).toEqual([]);
  });
});

describe('an order', () => {
  it('to pause that was carried out and undone before anybody looked is told as done', async ({ world }) => {
    const queue = world.queue(lane);
    death.at = 'after-change';
    await expect(pauseLane(queue, world.keys, { ...BY_ANN, sinceAt: 1 })).rejects.toThrow('killed');
    death.at = undefined;
    await resumeLane(queue, world.keys, { who: 'bob', reason: 'well again' });
    await keep(world);
    const entries = await told(world);
    expect(entries.map(({ what, who }) => [what, who])).toEqual([
      ['order.begun', 'ann@desk'],
      ['lane.paused', 'ann@desk'],
      ['order.begun', 'bob'],
      ['lane.resumed', 'bob'],
    ]);
  });

  it('that is refused is voided with what was found', async ({ world }) => {
    const queue = world.queue(lane);
    const pause = (who: string) => pauseLane(queue, world.keys, { who, reason: null, sinceAt: systemClock.now() });
    const both = await Promise.all([pause('ann'), pause('bob')]);
    expect(both.filter(({ already }) => already === undefined)).toHaveLength(1);
    expect(
      results(await told(world))
        .map(({ what }) => what)
        .sort(),
    ).toEqual(['lane.paused', 'order.voided']);
  });

  it('to replay a letter that ran and died again before anybody looked is told as done', async ({ world }) => {
    const queue = world.queue(lane);
    const producer = await world.producer();
    await world.pod([handle(lane, { run: () => dead('no') })]);
    const { id } = await producer.add(lane, null);
    const { finishedAt } = await untilState(queue, id, 'dead');
    death.at = 'after-change';
    await expect(replayDead(queue, id, BY_ANN)).rejects.toThrow('killed');
    death.at = undefined;
    await vi.waitFor(async () => {
      const job = await showJob(queue, id);
      expect(job).toMatchObject({ state: 'dead' });
      expect(job.finishedAt).not.toBe(finishedAt);
    });
    await keep(world);
    const entries = (await told(world)).filter(({ who }) => who === 'ann@desk');
    expect(entries).toMatchObject([{ what: 'order.begun' }, { what: 'job.replayed', found: 'dead again' }]);
  });

  it('over many letters whose process is killed is told to have ended, once', async ({ world }) => {
    const { publish } = await import('../../queues/publish.ts');
    const queue = world.queue(publish);
    await bury(queue, { count: 400 });
    const child = world.spawn(['dead', 'publish', 'replay', '--all', '--rate', '40', '--reason', 'mended']);
    await vi.waitFor(async () => expect((await journalled(world, 'forum')).length).toBe(1), { timeout: 10_000 });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    await keep(world, 60_000);
    expect(await journalled(world, 'forum'), 'as long as it may live (twin)').toHaveLength(1);
    await keep(world);
    await keep(world);
    const [begun, ended, ...more] = await journalled(world, 'forum');
    expect(more).toEqual([]);
    const same = { operation: begun?.operation, who: begun?.who, reason: 'mended', intent: begun?.intent };
    expect(ended).toMatchObject({
      what: 'dead.replayed',
      ...same,
      isStopped: true,
      found: expect.stringMatching(/no sign of life/),
    });
  });
});

it('marks of those that were voided go after an hour', async ({ world }) => {
  const { redis, keys } = world;
  const nowAt = await redisNow(redis);
  const marks = { i_old: `-${nowAt - 3_700_000}`, i_new: `-${nowAt - 3_500_000}` };
  await redis.sadd(keys.intentTags(), lane.tag);
  await redis.hset(keys.intents(lane.tag), marks);
  await keep(world);
  expect(await redis.hkeys(keys.intents(lane.tag))).toEqual(['i_new']);
});

describe('an order on a lane that no pod runs', () => {
  const stranger = defineLane({ name: 'stranger', concurrency: 1 });

  async function given(world: World): Promise<void> {
    death.at = 'after-change';
    const pause = { ...BY_ANN, sinceAt: systemClock.now() };
    await expect(pauseLane(world.queue(stranger), world.keys, pause)).rejects.toThrow('killed');
    death.at = undefined;
  }

  it('is told as it is by any pod of any other lane', async ({ world }) => {
    await given(world);
    await keep(world);
    expect(await journalled(world, stranger.tag)).toMatchObject([
      { what: 'order.begun', lane: 'stranger', ...BY_ANN },
      { what: 'lane.paused', lane: 'stranger', ...BY_ANN, found: 'paused' },
    ]);
    expect(await world.redis.exists(world.keys.intents(stranger.tag))).toBe(0);
  });

  it('whose tag nobody wrote down is found by nobody (twin)', async ({ world }) => {
    await given(world);
    await world.redis.del(world.keys.intentTags());
    await keep(world);
    expect((await journalled(world, stranger.tag)).map(({ what }) => what)).toEqual(['order.begun']);
  });
});

it('the journal loses what is older than 30 days, of every stream, and nothing younger', async ({ world }) => {
  const { redis, keys } = world;
  const nowAt = await redisNow(redis);
  const streams = [keys.journal('a'), keys.journal('b'), keys.fleetJournal()];
  for (const stream of streams) {
    for (const at of [nowAt - KEEP_MS - 60_000, nowAt - KEEP_MS + 60_000, nowAt])
      await redis.xadd(stream, `${at}-0`, 'x', 'y');
  }
  await createJournalTrim({ who: 'p', redis, keys, tags: ['a', 'b'], events: createEventHub() }).once();
  for (const stream of streams) expect(await redis.xlen(stream)).toBe(2);
});
