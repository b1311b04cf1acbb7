// Owners' leases by a majority of three real lock servers: what each of them may do without anybody noticing, and what two may not.

import type { Redis } from 'ioredis';
import { describe, expect, vi } from 'vitest';
import { createQuorumLocks } from '../../../src/store/ownership/locks-quorum.ts';
import type { OwnerLocks } from '../../../src/store/ownership/owner-locks.ts';
import { systemClock } from '../../../src/words/clock.ts';
import { it, type World } from '../../support/world.ts';
import { type BareServer, shareServers } from './servers.ts';
import { ask, dumpOf, GROUP, granted, ownerLocksSuite } from './suite.ts';

const borrow = shareServers(3);

interface Quorum {
  servers: readonly BareServer[];
  client(abstainMs?: number): OwnerLocks;
}

function openQuorum(world: World): Quorum {
  const servers = borrow(world);
  const client = (abstainMs = 0) => {
    const urls = servers.map(({ url }) => url);
    const locks = createQuorumLocks({ redis: world.redis, keys: world.keys, urls, clock: systemClock, abstainMs });
    world.defer(() => locks.close());
    return locks;
  };
  return { servers, client };
}

ownerLocksSuite(
  'a majority of three lock servers',
  async (world) => {
    const { servers, client } = openQuorum(world);
    return { locks: client(), others: client(), servers: [world.redis, ...servers.map(({ admin }) => admin)] };
  },
  100,
);

const claimOf = ({ token }: { token: number }) => ({ as: 'manual', by: 'ann@desk', token, hold: 'h1' });
const held = (more = {}) => ask('manual', { hold: 'h1', ...more });

describe('a minority of the lock servers', () => {
  it.for([
    ['down', (server: BareServer) => server.kill()],
    ['frozen', (server: BareServer) => server.freeze()],
    ['empty', (server: BareServer) => server.admin.flushall()],
    ['new', (server: BareServer) => server.restart()],
  ] as const)(
    'that is %s changes nothing for who has it nor for who wants it',
    { timeout: 20_000 },
    async ([_, harm], { world }) => {
      const { servers, client } = openQuorum(world);
      const [locks, others] = [client(), client()];
      const { lease } = await granted(locks, held());
      const harmed = servers[1] as BareServer;
      await harm(harmed);
      const slow = client(60_000); // for whom the empty one abstains
      expect(await others.take(GROUP, ask('cron'))).toMatchObject({ kind: 'owned', lease: { as: 'manual' } });
      expect(await locks.renew(GROUP, claimOf(lease), 8_000)).toMatchObject({
        kind: 'renewed',
        lease: { token: lease.token },
      });
      expect((await locks.release(GROUP, { ...claimOf(lease), why: 'done' })).kind).toBe('released');
      const next = await granted(others, ask('cron'));
      expect(next.lease.token).toBeGreaterThan(lease.token);
      await others.release(GROUP, { as: 'cron', by: 'ann@desk', why: 'done' });
      expect(slow).toBeDefined();
      harmed.thaw();
    },
  );

  it('learns what it lost from the one who has it', async ({ world }) => {
    const { servers, client } = openQuorum(world);
    const locks = client();
    const { lease } = await granted(locks, held());
    await servers[0]?.admin.flushall();
    await locks.renew(GROUP, claimOf(lease), 8_000);
    expect(await servers[0]?.admin.hmget(world.keys.owner(GROUP.address), 'token', 'as')).toEqual([
      String(lease.token),
      'manual',
    ]);
  });

  it('has no say by itself: what it alone granted to somebody is no objection', async ({ world }) => {
    const { servers, client } = openQuorum(world);
    const [locks, others] = [client(), client()];
    const { lease } = await granted(others, ask('cron'));
    servers[2]?.freeze(); // it does not hear of the release
    await others.release(GROUP, { as: 'cron', by: 'ann@desk', why: 'done' });
    servers[2]?.thaw();
    expect((await granted(locks, held())).lease.token).toBeGreaterThan(lease.token);
  });
});

describe('a majority of the lock servers', () => {
  it('that is down or frozen lets nobody in, in one line, within a bounded time, and forgets nobody', {
    timeout: 20_000,
  }, async ({ world }) => {
    const { servers, client } = openQuorum(world);
    const locks = client();
    const { lease } = await granted(locks, held());
    await locks.release(GROUP, { ...claimOf(lease), why: 'done' });
    await servers[0]?.kill();
    servers[1]?.freeze();
    const before = await world.redis.hgetall(world.keys.owner(GROUP.address));
    const askedAt = performance.now();
    const refused = await locks.take(GROUP, held()).catch((error) => error);
    expect(performance.now() - askedAt).toBeLessThan(3_000);
    expect(refused).toMatchObject({ code: 'LK_LOCKS_DOWN' });
    expect(refused.message).toMatch(
      /^publish: not taken: expected 2 of 3 lock servers to agree, got redis:[^\n]*agrees[^\n]*$/,
    );
    expect(await world.redis.hgetall(world.keys.owner(GROUP.address))).toEqual(before);
    servers[1]?.thaw();
    await vi.waitFor(() => granted(locks, held()), { timeout: 5_000 });
    await expect(locks.renew(GROUP, claimOf((await locks.look(GROUP)).lease as never), 8_000)).resolves.toMatchObject({
      kind: 'renewed',
    });
  });

  it('that is down renews nothing and ends nothing: both say so', { timeout: 20_000 }, async ({ world }) => {
    const { servers, client } = openQuorum(world);
    const locks = client();
    const { lease } = await granted(locks, held());
    await Promise.all([servers[0]?.kill(), servers[2]?.kill()]);
    await expect(locks.renew(GROUP, claimOf(lease), 8_000)).rejects.toMatchObject({ code: 'LK_LOCKS_DOWN' });
    const standing = [world.redis, (servers[1] as BareServer).admin];
    const before = await dumpOf(standing, world.prefix);
    const refused = await locks.release(GROUP, { ...claimOf(lease), why: 'done' }).catch((error) => error);
    expect(refused).toMatchObject({ code: 'LK_LOCKS_DOWN' });
    expect(refused.message).toMatch(/^publish: not released: expected 2 of 3 lock servers to agree, got redis:[^\n]*$/);
    expect(await dumpOf(standing, world.prefix), 'the one that is up gives nothing back by itself').toBe(before);
    expect(await locks.look(GROUP)).toMatchObject({
      lease: { isLive: true, token: lease.token },
      servers: { count: 3, majority: 2, answering: 1 },
    });
  });

  it('that is up is told, with one that is down', async ({ world }) => {
    const { servers, client } = openQuorum(world);
    await servers[2]?.kill();
    expect(await client().look(GROUP)).toMatchObject({ servers: { count: 3, majority: 2, answering: 2 } });
  });
});

describe('a lock server that has lost its data', () => {
  it('does not vote before one lease has passed: with another down nobody is let in', { timeout: 20_000 }, async ({
    world,
  }) => {
    const { servers, client } = openQuorum(world);
    const abstainMs = 1_500;
    const careful = client(abstainMs);
    // The record is lost with it: only the servers know of an owner.
    const forget = () => world.redis.del(world.keys.owner(GROUP.address));
    await vi.waitFor(() => granted(careful, held()), { timeout: 10_000, interval: 100 });
    await forget();
    await servers[0]?.admin.flushall();
    await servers[1]?.kill();
    const refused = await careful.take(GROUP, ask('cron')).catch((error) => error);
    expect(refused).toMatchObject({ code: 'LK_LOCKS_DOWN' });
    expect(refused.message).toContain('has lost its data and votes again in 2 s');
    expect(await hasNoOwner(world.redis, world)).toBe(true);
  });

  it('that would vote at once lets in two (twin)', { timeout: 20_000 }, async ({ world }) => {
    const { servers, client } = openQuorum(world);
    const careless = client(0);
    // The third was down when the first owner came, so two know of it.
    await servers[2]?.kill();
    await granted(careless, held({ termMs: 60_000 }));
    await world.redis.del(world.keys.owner(GROUP.address));
    await servers[2]?.restart();
    await servers[0]?.admin.flushall();
    await servers[1]?.kill();
    await vi.waitFor(async () => expect((await careless.take(GROUP, ask('cron'))).kind).toBe('granted'), {
      timeout: 5_000,
    });
  });

  it('has a say once a lease has passed, but none against the word of an older one', { timeout: 20_000 }, async ({
    world,
  }) => {
    const { servers, client } = openQuorum(world);
    const locks = client(300);
    await servers[2]?.kill();
    await vi.waitFor(() => granted(locks, ask('manual', { termMs: 60_000 })), { timeout: 10_000, interval: 50 });
    await world.redis.del(world.keys.owner(GROUP.address));
    await servers[2]?.restart();
    await servers[0]?.admin.flushall();
    // Two that know nothing would be a majority; the third remembers.
    await vi.waitFor(async () => expect(await locks.take(GROUP, ask('cron'))).toMatchObject({ kind: 'owned' }), {
      timeout: 10_000,
      interval: 50,
    });
    expect(await hasNoOwner(world.redis, world)).toBe(true);
  });
});

async function hasNoOwner(redis: Redis, { keys }: World): Promise<boolean> {
  return (await redis.hget(keys.owner(GROUP.address), 'token')) === null;
}
