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
