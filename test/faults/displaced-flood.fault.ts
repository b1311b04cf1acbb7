// A hundred thousand jobs wait when their owner is displaced: they are moved aside and come back in their order, and nothing holds Redis
// for longer than some milliseconds meanwhile.

import { describe, expect } from 'vitest';
import { defineLane, defineUpstream, type Lane } from '../../src/index.ts';
import { bringBack, moveAside, ownedLane } from '../../src/path/aside.ts';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { take } from '../path/leases.ts';
import { it, type World } from '../support/world.ts';

const MANY = 100_000;
/** A page takes 2 to 4; whatever else this machine does comes on top. */
const LONGEST_MS = 15;

async function fill(world: World, lane: Lane): Promise<string[]> {
  const producer = await world.producer();
  const ids: string[] = [];
  for (let n = 0; n < MANY; n += 5_000) {
    const added = await producer.addMany(
      lane,
      Array.from({ length: 5_000 }, () => ({ payload: null })),
      { as: 'cron' },
    );
    ids.push(...added.map(({ id }) => id));
  }
  return ids;
}

/** The script that held Redis for longest, in ms, and how long all took. */
async function measured(world: World, work: () => Promise<unknown>): Promise<{ longestMs: number; tookMs: number }> {
  const [, before] = (await world.redis.config('GET', 'slowlog-log-slower-than')) as string[];
  await world.redis.config('SET', 'slowlog-log-slower-than', '1000');
  await world.redis.slowlog('RESET');
  const startedAt = performance.now();
  await work();
  const tookMs = Math.round(performance.now() - startedAt);
  const log = (await world.redis.slowlog('GET', 1_000)) as [number, number, number, string[]][];
  await world.redis.config('SET', 'slowlog-log-slower-than', before ?? '10000');
  return { longestMs: Math.max(0, ...log.map(([, , micros]) => micros)) / 1_000, tookMs };
}

describe('100,000 jobs of a displaced owner', () => {
  it('are moved aside and back in their order, a page at a time', { timeout: 300_000 }, async ({ world }) => {
    const lane = defineLane({ name: 'flood', ownership: 'exclusive' });
    const owned = ownedLane(lane, world.queue(lane), world.keys);
    const wait = world.queue(lane).backend.toKey('wait');
    await take(world, lane, 'cron');
    const ids = await fill(world, lane);
    await take(world, lane, 'manual');
    const newcomer = await (await world.producer()).add(lane, null, { as: 'manual' });
    const aside = await measured(world, () => moveAside(owned));
    expect(await world.redis.lrange(wait, '0', '-1')).toEqual([newcomer.id]);
    await take(world, lane, 'cron');
    const later = await (await world.producer()).add(lane, null, { as: 'cron' });
    const back = await measured(world, async () => {
      await moveAside(owned);
      await bringBack(owned);
    });
    console.log('waiting', aside, back);
    expect((await world.redis.lrange(wait, '0', '-1')).reverse()).toEqual([...ids, later.id]);
    expect(Math.max(aside.longestMs, back.longestMs)).toBeLessThan(LONGEST_MS);
  });

  it('that wait for windows leave their line and come back to their places', { timeout: 300_000 }, async ({
    world,
  }) => {
    const upstream = defineUpstream({ name: 'forum', agents: ['a'] });
    const lane = defineLane({ name: 'flood', upstream, agent: { cooldown: '1h' }, ownership: 'exclusive' });
    await new Calendar(world.redis, world.keys, 'forum', 'p1').register(['a'], { flood: 3_600_000 }, false, {});
    const owned = ownedLane(lane, world.queue(lane), world.keys);
    const line = () => world.redis.zrange(world.keys.line(lane), '0', '-1');
    await take(world, lane, 'cron');
    await fill(world, lane);
    const before = await line();
    await take(world, lane, 'manual');
    const aside = await measured(world, () => moveAside(owned));
    expect(await line()).toEqual([]);
    await take(world, lane, 'cron');
    const back = await measured(world, () => bringBack(owned));
    console.log('in line', aside, back);
    expect(await line()).toEqual(before);
    expect(before).toHaveLength(MANY);
    expect(Math.max(aside.longestMs, back.longestMs)).toBeLessThan(LONGEST_MS);
  });
});
