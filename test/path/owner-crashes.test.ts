// Whoever feeds, takes or moves aside dies between two commands (here: throws at a crash point): nothing is lost, doubled, or left where
// nobody looks. Short form of test/faults/owner-crashes, which kills processes.

import { afterEach, describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { bringBack, moveAside, ownedLane } from '../../src/path/aside.ts';
import { listJobs } from '../../src/path/inspect.ts';
import type { CrashPoint } from '../../src/words/crash-point.ts';
import { it, type World } from '../support/world.ts';
import { take } from './leases.ts';
import { RETRYING } from './looking.ts';

const dying = vi.hoisted(() => ({ at: '', passes: 0 }));
vi.mock('../../src/words/crash-point.ts', () => ({
  crashPoint(name: CrashPoint) {
    if (name === dying.at && --dying.passes === 0) throw new Error(`died ${name}`);
  },
}));
afterEach(() => {
  dying.at = '';
});

const lane = defineLane({ name: 'publish', ownership: 'exclusive', concurrency: 50 });
const MANY = 350; // four pages

/** Dies at the n-th pass of a point, and whoever comes next does the same again. */
async function dieAndRepeat(at: CrashPoint, pass: number, work: () => Promise<unknown>): Promise<void> {
  Object.assign(dying, { at, passes: pass });
  await expect(work()).rejects.toThrow(/died/);
  dying.at = '';
  await work();
}

const feed = async (world: World, as: string) =>
  (await world.producer()).addMany(
    lane,
    Array.from({ length: MANY }, (_, n) => ({ payload: n, key: `k${n}` })),
    { as },
  );

describe('a death', () => {
  it.for(['before-add', 'after-add'] as const)('%s is mended by the same call', async (at, { world }) => {
    await take(world, lane, 'cron');
    await dieAndRepeat(at, 1, () => feed(world, 'cron'));
    expect(await listJobs(world.queue(lane), ['waiting'], 1_000)).toHaveLength(MANY);
  });

  it.for((['before-aside', 'after-aside'] as const).flatMap((at) => [1, 2, 4].map((pass) => [at, pass] as const)))(
    '%s, pass %i, leaves the rest to the next, both ways',
    async ([at, pass], { world }) => {
      const owned = ownedLane(lane, world.queue(lane), world.keys);
      await take(world, lane, 'cron');
      const added = await feed(world, 'cron');
      await take(world, lane, 'manual');
      await dieAndRepeat(at, pass, () => moveAside(owned));
      expect(await world.redis.zcard(world.keys.aside(lane))).toBe(MANY);
      expect(await listJobs(world.queue(lane), ['waiting'], 10)).toEqual([]);
      await take(world, lane, 'cron');
      await dieAndRepeat(at, pass, () => bringBack(owned));
      expect(await world.redis.zcard(world.keys.aside(lane))).toBe(0);
      const ran: string[] = [];
      await world.pod([handle(lane, { run: (job) => void ran.push(job.id) })]);
      await vi.waitFor(() => expect(ran).toHaveLength(MANY), RETRYING);
      expect([...ran].sort()).toEqual(added.map(({ id }) => id).sort());
    },
  );
});
