// Reserve and add are one script. No kill falls between two lines of a script, so this is shown from outside: nobody ever sees
// one without the other, an add that fails reserves nothing, and with the two split (twins) a crash between loses or doubles.

import { describe, expect } from 'vitest';
import { defineLane } from '../../src/index.ts';
import { toReservation } from '../../src/path/dedupe.ts';
import { listJobs } from '../../src/path/inspect.ts';
import { newJobId } from '../../src/path/job-id.ts';
import { DEDUPE } from '../../src/path/lane.ts';
import type { Reservation } from '../../src/store/add-jobs.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'reserve' });
const payload = { n: 1 };
const key = 'order-7';

const standing = async (world: World) => (await listJobs(world.queue(lane), ['waiting'], 1_000)).length;
const reserve = ({ keys }: World, of = key) =>
  toReservation(lane, DEDUPE, keys, newJobId(Date.UTC(2030, 0, 1)), { payload, key: of }) as Reservation;

/** In one script, so that both are of one moment. */
const COUNT = `return { redis.call('LLEN', KEYS[1]), #redis.call('KEYS', ARGV[1]) }`;

async function count({ redis, keys }: World): Promise<[number, number]> {
  const wait = `${keys.queuePrefix(lane)}:${lane.name}:wait`;
  return (await redis.eval(COUNT, 1, wait, keys.reservation(lane, '*').replace(/[{}]/g, '?'))) as [number, number];
}

describe('a job and its reservation', () => {
  it('are never seen one without the other', async ({ world }) => {
    const producer = await world.producer();
    let isOver = false;
    const adding = Promise.all(
      Array.from({ length: 300 }, (_, n) => producer.add(lane, { n }, { key: `key-${n}` })),
    ).finally(() => {
      isOver = true;
    });
    const seen = new Set<string>();
    while (!isOver) {
      const [jobs, reservations] = await count(world);
      seen.add(`${jobs - reservations}`);
    }
    await adding;
    expect([...seen]).toEqual(['0']);
    expect(await count(world)).toEqual([300, 300]);
  });

  it('that are written by two commands are seen apart (twin)', async ({ world }) => {
    const { key: at, mark, forMs } = reserve(world);
    await world.redis.set(at, mark, 'PX', forMs);
    expect(await count(world)).toEqual([0, 1]);
  });
});

describe('an add that fails inside its script', () => {
  it('has reserved nothing, and the same call adds', async ({ world }) => {
    const producer = await world.producer();
    const wait = `${world.keys.queuePrefix(lane)}:${lane.name}:wait`;
    await world.redis.set(wait, 'of another type');
    await expect(producer.add(lane, payload, { key })).rejects.toThrow(/WRONGTYPE/);
    expect(await world.redis.exists(reserve(world).key)).toBe(0);

    await world.redis.del(wait);
    expect(await producer.add(lane, payload, { key })).toMatchObject({ isRepeat: false });
    expect(await world.redis.exists(reserve(world).key)).toBe(1);
    expect(await standing(world)).toBe(1);
  });
});

describe('a crash between the two, if they were split (twin)', () => {
  it('would lose the job: reserved, not added, and the same call is told that it is in', async ({ world }) => {
    const producer = await world.producer();
    const { key: at, mark, forMs } = reserve(world);
    await world.redis.set(at, mark, 'PX', forMs);
    expect(await producer.add(lane, payload, { key })).toMatchObject({ isRepeat: true });
    expect(await standing(world)).toBe(0);
  });

  it('would double it: added, not reserved, and the same call adds again', async ({ world }) => {
    const producer = await world.producer();
    await producer.add(lane, payload, { key });
    await world.redis.del(reserve(world).key);
    expect(await producer.add(lane, payload, { key })).toMatchObject({ isRepeat: false });
    expect(await standing(world)).toBe(2);
  });
});
