// Owners' leases as the Redis of the jobs alone decides them; with a replica, what that must have.

import { Redis } from 'ioredis';
import { expect, vi } from 'vitest';
import { createSingleLocks } from '../../../src/store/ownership/locks-single.ts';
import { it } from '../../support/world.ts';
import { startServer } from './servers.ts';
import { ask, GROUP, journalOf, ownerLocksSuite } from './suite.ts';

ownerLocksSuite(
  'one Redis',
  async (world) => {
    const other = new Redis(world.redisUrl);
    world.defer(() => other.disconnect());
    return {
      locks: createSingleLocks(world),
      others: createSingleLocks({ redis: other, keys: world.keys }),
      servers: [world.redis],
    };
  },
  1_000,
);

it('a lease that no replica has is not granted, in one line, and free again; one that a replica has is', async ({
  world,
}) => {
  const master = await startServer(world);
  const replica = await startServer(world, [
    '--replicaof',
    '127.0.0.1',
    String(master.port),
    '--repl-diskless-sync-delay',
    '0',
  ]);
  await vi.waitFor(async () => expect(await replica.admin.info('replication')).toContain('master_link_status:up'), {
    timeout: 10_000,
  });
  const locks = createSingleLocks({ redis: master.admin, keys: world.keys });
  expect((await locks.take(GROUP, ask('manual'))).kind).toBe('granted');
  expect(await replica.admin.hget(world.keys.owner(GROUP.address), 'as')).toBe('manual');
  await locks.release(GROUP, { as: 'manual', by: 'ann@desk', why: 'done' });
  replica.freeze();
  const refused = await locks.take(GROUP, ask('cron')).catch((error) => error);
  expect(refused).toMatchObject({ code: 'LK_LOCKS_DOWN' });
  expect(refused.message).toMatch(
    /^publish: not taken: expected its replica to have it within 100 ms, got none: [^\n]+$/,
  );
  expect((await locks.look(GROUP)).lease).toMatchObject({ as: 'cron', isLive: false });
  const told = await journalOf(master.admin, world.keys);
  expect(told.at(-1)).toMatchObject({
    what: 'lane.released',
    as: 'cron',
    why: 'no replica has it: it was not granted',
  });
  replica.thaw();
});

it('the notice of a take names whom it stopped, and is bounded: where they are many it names nobody', async ({
  world,
}) => {
  const { redis, keys } = world;
  const locks = createSingleLocks(world);
  const heard: string[] = [];
  const ear = new Redis(world.redisUrl);
  world.defer(() => ear.disconnect());
  ear.on('message', (_, text) => void heard.push(text));
  await ear.subscribe(keys.ownerNotice('forum'));
  const queue = `${keys.queuePrefix({ name: 'publish', tag: 'forum' })}:publish:`;
  const first = await locks.take(GROUP, ask('cron'));
  const { token, as, by } = first.lease as { token: number; as: string; by: string };
  /** So many of the first owner's run, each for a pod whose names are as long as they get. */
  async function run(count: number): Promise<void> {
    const pipeline = redis.pipeline();
    for (let n = 0; n < count; n++) {
      const id = `j_${String(n).padStart(24, '0')}`;
      pipeline.hset(`${queue}${id}`, 'lk:owner', JSON.stringify({ token, as, by }), 'timestamp', n);
      pipeline.set(`${queue}${id}:lock`, `${'pod'.repeat(15)}:${n}`);
      pipeline.lpush(`${queue}active`, id);
    }
    await pipeline.exec();
  }
  for (const [count, by] of [
    [20, 'bob@desk'],
    [5_000, 'eve@desk'],
  ] as const) {
    await run(count);
    const taken = await locks.take(GROUP, ask('manual', { by, isForced: true }));
    expect(taken).toMatchObject({ kind: 'granted', stopped: count });
    await vi.waitFor(() => expect(heard.at(-1)).toContain(by), { interval: 5 });
  }
  const [few, many] = heard.slice(-2).map((text) => JSON.parse(text));
  expect(few).toMatchObject({
    kind: 'taken',
    jobs: expect.arrayContaining([['publish', expect.any(String), expect.any(String)]]),
  });
  expect(few.jobs).toHaveLength(20);
  expect(many).toMatchObject({ kind: 'taken', isMany: true, by: 'eve@desk' });
  expect(many.jobs).toBeUndefined();
  expect(Math.max(...heard.map(({ length }) => length))).toBeLessThan(16_500);
});
