// A list is in whole or, after a failure in its middle, completed by the same call: nothing is lost and nothing doubled.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, type LanekeeperError } from '../../src/index.ts';
import { listJobs } from '../../src/path/inspect.ts';
import { openProducer } from '../../src/path/producer.ts';
import { connectRedis } from '../../src/store/connect.ts';
import { systemClock } from '../../src/words/clock.ts';
import { it, type World } from '../support/world.ts';
import { keysOf, RETRYING, rejection } from './looking.ts';

const lane = defineLane({ name: 'list' });
const items = (count: number, key?: string) =>
  Array.from({ length: count }, (_, n) => ({ payload: n, ...(key && { key: `${key}-${n}` }) }));
const payloads = async (world: World) =>
  (await listJobs(world.queue(lane), ['waiting'], 10_000))
    .map(({ payload }) => payload as number)
    .sort((a, b) => a - b);

/** A producer whose connection breaks before its second thousand. */
async function breaking(world: World) {
  const redis = await connectRedis(world.redisUrl, 'producer');
  const producer = openProducer(redis, world.redisUrl, world.prefix, systemClock);
  world.defer(() => producer.close().then(() => redis.disconnect()));
  const send = redis.sendCommand.bind(redis);
  let jobs = 0;
  let isWhole = true;
  vi.spyOn(redis, 'sendCommand').mockImplementation((command, ...rest) => {
    // Sixteen go out together: no other command of a producer is as long.
    const isWrite = /^eval/.test(command.name) && command.args.length > 40;
    if (isWrite && jobs >= 1_000 && isWhole) {
      isWhole = false;
      redis.disconnect();
    }
    jobs += isWrite ? 16 : 0;
    return send(command, ...rest);
  });
  const mend = async () => {
    await vi.waitFor(() => expect(redis.status).toBe('end'), RETRYING);
    await redis.connect();
  };
  return { producer, mend };
}

describe('a list that fails half-way', () => {
  it('in a lane with agents says which items are in, too', async ({ world }) => {
    const { producer } = await breaking(world);
    const acting = defineLane({
      name: 'list',
      upstream: defineUpstream({ name: 'forum', agents: ['a01'] }),
      agent: { cooldown: '1h' },
    });
    const failed = (await rejection(producer.addMany(acting, items(1_100)))) as LanekeeperError;
    expect(failed).toMatchObject({
      code: 'LK_REDIS_DOWN',
      message: expect.stringContaining('1000 of 1100 items are in'),
    });
    expect(failed.accepted?.filter((id) => id !== null)).toHaveLength(1_000);
  });

  it.for([
    ['without keys', undefined],
    ['with keys', 'k'],
  ] as const)('%s says which items are in, and the same call again adds the others', async ([, key], { world }) => {
    const { producer, mend } = await breaking(world);
    const list = items(2_500, key);
    const failed = (await rejection(producer.addMany(lane, list))) as LanekeeperError;
    expect(failed).toMatchObject({
      code: 'LK_REDIS_DOWN',
      message: expect.stringContaining('1000 of 2500 items are in'),
    });
    const accepted = failed.accepted ?? [];
    expect(accepted.map((id) => id !== null)).toEqual(list.map((_, n) => n < 1_000));
    expect(await payloads(world)).toEqual(list.slice(0, 1_000).map(({ payload }) => payload));
    await mend();
    const added = await producer.addMany(lane, list);
    expect(added.slice(0, 1_000).map(({ id }) => id)).toEqual(accepted.slice(0, 1_000));
    expect(await payloads(world)).toEqual(list.map(({ payload }) => payload));
  });

  it('is completed by another process when it has a key', async ({ world }) => {
    const { producer } = await breaking(world);
    await rejection(producer.addMany(lane, items(2_500), { key: 'import' }));
    const other = await world.producer();
    const added = await other.addMany(lane, items(2_500), { key: 'import' });
    expect(added.filter(({ isRepeat }) => isRepeat)).toHaveLength(1_000);
    expect(await payloads(world)).toEqual(items(2_500).map(({ payload }) => payload));
  });

  it('is another list when it was changed meanwhile: no item is taken for one that is in', async ({ world }) => {
    const { producer, mend } = await breaking(world);
    const list = items(1_500);
    await rejection(producer.addMany(lane, list));
    await mend();
    list[0] = { payload: 9_999 };
    await producer.addMany(lane, list);
    expect((await payloads(world)).filter((n) => n === 0 || n === 9_999)).toEqual([0, 9_999]);
  });
});

describe('a list', () => {
  it('added twice on purpose is in twice (twin)', async ({ world }) => {
    const producer = await world.producer();
    const list = items(10);
    await Promise.all([producer.addMany(lane, list), producer.addMany(lane, list)]);
    await producer.addMany(lane, list);
    expect(await payloads(world)).toHaveLength(30);
  });

  it('with one key that stands for something else is refused whole, by index', async ({ world }) => {
    const producer = await world.producer();
    await producer.add(lane, 'other', { key: 'k-5' });
    const refused = await rejection(producer.addMany(lane, items(10, 'k')));
    expect(refused).toMatchObject({
      code: 'LK_KEY_TAKEN',
      message: expect.stringMatching(/^\[5\] key "k-5" stands for/),
    });
    expect(await payloads(world)).toHaveLength(1);
  });

  it.for([
    ['content', 'content', 0],
    ['content', 'content', 2],
    ["the lane's word", (payload: unknown) => String(payload), 0],
    ['key', undefined, 3],
  ] as const)('deduped by %s asks before the write of explicit keys alone', async ([, dedupe, keyed], { world }) => {
    const redis = await connectRedis(world.redisUrl, 'producer');
    const producer = openProducer(redis, world.redisUrl, world.prefix, systemClock);
    world.defer(() => producer.close().then(() => redis.disconnect()));
    const asked = vi.spyOn(redis, 'mget');
    const deduped = defineLane({ name: 'list', ...(dedupe && { dedupe }) });
    await producer.addMany(deduped, [...items(20), ...items(keyed, 'k')]);
    expect(asked.mock.calls.map(([keys]) => keys?.length)).toEqual(keyed > 0 ? [keyed] : []);
  });

  it('that says two things under one key is refused whole; one thing twice is one job', async ({ world }) => {
    const producer = await world.producer();
    const refused = await rejection(
      producer.addMany(lane, [
        { payload: 1, key: 'k' },
        { payload: 2, key: 'k' },
      ]),
    );
    expect(refused).toMatchObject({
      code: 'LK_INPUT',
      message: expect.stringContaining('[1] key "k": expected one payload'),
    });
    expect(await keysOf(world)).toEqual([]);
    const added = await producer.addMany(lane, [
      { payload: 1, key: 'k' },
      { payload: 1, key: 'k' },
    ]);
    expect(added.map(({ isRepeat }) => isRepeat)).toEqual([false, true]);
    expect(await payloads(world)).toEqual([1]);
  });

  it.for([{ key: '' }, { key: 5 }, { key: 'x'.repeat(251) }, { agent: 'a' }, null, 'k'])(
    'refuses the options %j',
    async (options, { world }) => {
      const producer = await world.producer();
      expect(await rejection(producer.addMany(lane, items(1), options as never))).toMatchObject({ code: 'LK_INPUT' });
      expect(await keysOf(world)).toEqual([]);
    },
  );
});
