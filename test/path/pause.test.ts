// A paused lane: no pod fetches, what runs goes on, what comes waits, and whoever asks hears by whom and why.

import { describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { explainJob } from '../../src/path/inspect.ts';
import { pauseLane, readPause, resumeLane, sayPause } from '../../src/path/pause.ts';
import { systemClock } from '../../src/words/clock.ts';
import { it, type World } from '../support/world.ts';
import { BY_ANN, gate, RETRYING, untilState } from './looking.ts';

const lane = defineLane({ name: 'held', concurrency: 2 });
const order = (who = 'ann@desk', reason: string | null = 'the upstream moves') => ({
  who,
  reason,
  sinceAt: systemClock.now(),
});
const pause = (world: World, of = order()) => pauseLane(world.queue(lane), world.keys, of);
const resume = (world: World) => resumeLane(world.queue(lane), world.keys, BY_ANN);

describe('a pause', () => {
  it('stops the fetching at once: what runs goes on, what comes waits, a resume wakes the pods at once', async ({
    world,
  }) => {
    const held = gate();
    const ran: unknown[] = [];
    const queue = world.queue(lane);
    await world.pod([
      handle(lane, { run: async ({ payload }) => (payload === 'long' ? held.opened : void ran.push(payload)) }),
    ]);
    const producer = await world.producer();
    const long = await producer.add(lane, 'long');
    await untilState(queue, long.id, 'active');
    expect(await pause(world)).toEqual({});
    const later = await producer.add(lane, 'later');
    const ranked = await producer.add(lane, 'ranked', { priority: 3 });
    held.open();
    await untilState(queue, long.id, 'done');
    expect(await queue.backend.getCounts(['wait', 'prioritized', 'active'])).toEqual([1, 1, 0]);
    expect(ran).toEqual([]);

    const resumedAt = systemClock.mono();
    expect(await resume(world)).toMatchObject({ who: 'ann@desk' });
    for (const { id } of [later, ranked]) await untilState(queue, id, 'done');
    // Every idle lane looks again after 5 s: this was the bell.
    expect(systemClock.mono() - resumedAt).toBeLessThan(2_000);
  });

  it('without one the pods fetch what comes (twin)', async ({ world }) => {
    await world.pod([handle(lane, { run: () => 'ran' })]);
    const { id } = await (await world.producer()).add(lane, 'later');
    await untilState(world.queue(lane), id, 'done');
  });

  it('holds also for pods that start later', async ({ world }) => {
    await pause(world);
    const { id } = await (await world.producer()).add(lane, 'a');
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    // The pod has fetched, in vain, when it listens to the bell.
    await vi.waitFor(async () => expect(await world.redis.hexists(world.keys.pods(), pod.name)).toBe(1), RETRYING);
    await untilState(world.queue(lane), id, 'waiting');
    await resume(world);
    await untilState(world.queue(lane), id, 'done');
  });

  it('is told by whom and why to whoever asks', async ({ world }) => {
    await pause(world);
    const { id } = await (await world.producer()).add(lane, 'a');
    const queue = world.queue(lane);
    const seen = await readPause(queue, world.keys);
    expect(await explainJob(queue, lane, id, 1, async () => ({ pause: seen }))).toMatchObject({
      gate: 'pause',
      because: 'the lane is paused by ann@desk: the upstream moves',
      pause: { who: 'ann@desk', reason: 'the upstream moves' },
    });
  });

  it('ordered twice stays the first, also by many at once', async ({ world }) => {
    expect(await pause(world)).toEqual({});
    expect(await pause(world, order('bob@desk', 'me too'))).toMatchObject({ already: { who: 'ann@desk' } });
    expect(await readPause(world.queue(lane), world.keys)).toMatchObject({ who: 'ann@desk' });
    await resume(world);
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => pause(world, order(`u${n}@desk`))));
    const first = answers.findIndex(({ already }) => already === undefined);
    expect(answers.filter(({ already }) => already === undefined)).toHaveLength(1);
    expect(await readPause(world.queue(lane), world.keys)).toMatchObject({ who: `u${first}@desk` });
    expect(await world.queue(lane).queue.isPaused()).toBe(true);
  });

  it('by plain BullMQ is nobody’s that we know, and is resumed all the same', async ({ world }) => {
    const { queue } = world.queue(lane);
    await queue.pause();
    const seen = await readPause(world.queue(lane), world.keys);
    expect(seen).toBeNull();
    expect(sayPause(seen ?? null)).toContain('by whom and why is unknown');
    expect(await pause(world)).toEqual({ already: null });
    expect(await resume(world)).toBeNull();
    expect(await queue.isPaused()).toBe(false);
  });

  it('that plain BullMQ resumed leaves a record that answers for no later pause', async ({ world }) => {
    await pause(world, { ...order(), sinceAt: systemClock.now() - 60_000 });
    await world.queue(lane).queue.resume();
    expect(await readPause(world.queue(lane), world.keys)).toBeUndefined();
    expect(await pause(world, order('bob@desk', 'again'))).toEqual({});
    expect(await readPause(world.queue(lane), world.keys)).toMatchObject({ who: 'bob@desk' });
  });
});

describe('a resume', () => {
  it('of a lane that runs changes nothing and says so', async ({ world }) => {
    expect(await resume(world)).toBeUndefined();
  });

  it('leaves no record', async ({ world }) => {
    await pause(world);
    await resume(world);
    expect(await world.redis.exists(world.keys.pause(lane))).toBe(0);
  });
});
