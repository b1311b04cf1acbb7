// What the script driver makes of the scripts: a pod comes, hears, asks and leaves.

import { describe, expect, vi } from 'vitest';
import { openScriptDriver } from '../../src/store/limit-scripts.ts';
import { openNotices } from '../../src/store/notices.ts';
import { it, type World } from '../support/world.ts';

/** A pod's driver as the engine opens it, with so many slots, and when it had heard how many notices. */
function openDriver(world: World, pod: string, size: number) {
  const { redis, keys, redisUrl } = world;
  const errors: Error[] = [];
  const notices = openNotices(redisUrl, (error) => errors.push(error));
  world.defer(() => notices.stop());
  const limits = [{ name: 'concurrent', kind: 'concurrent', size, perMs: 0, byAgent: false }] as const;
  const plan = { driver: 'scripts', limits, travelMs: 10 } as const;
  const driver = openScriptDriver({ redis, notices, keys, tag: 'u', pod, plan });
  world.defer(() => driver.stop());
  driver.onNotice(() => {});
  const heard: string[] = [];
  notices.on(keys.limitNotice('u'), (text) => heard.push(text));
  const hears = (ears = 1) =>
    vi.waitUntil(async () => (await redis.pubsub('NUMSUB', keys.limitNotice('u')))[1] === ears);
  return { driver, heard, errors, hears };
}

describe('a pod', () => {
  it('that leaves is not known again by what it hears of its own farewell', async ({ world }) => {
    await openDriver(world, 'p0', 5).driver.register();
    const { driver, heard, hears } = openDriver(world, 'p1', 2);
    await hears(2);
    await driver.register();
    await vi.waitUntil(() => heard.length >= 1);
    await driver.stop();
    await vi.waitUntil(() => heard.length >= 2);
    // On the same connection as what it would have written.
    expect(await world.redis.hexists(world.keys.limits('u'), 'def:p1')).toBe(0);
  });
});

describe('a notice', () => {
  it('that nobody can read is told and left out', async ({ world }) => {
    const channel = world.keys.limitNotice('u');
    const { heard, errors, hears } = openDriver(world, 'p1', 2);
    await hears();
    for (const text of ['garbage', 'null', '{"kind":"changed"}']) await world.redis.publish(channel, text);
    await vi.waitUntil(() => heard.length === 3);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining(`expected a notice on ${channel}, got garbage:`),
      expect.stringContaining(`expected a notice on ${channel}, got null:`),
    ]);
  });

  it('that Redis lets nobody hear any more ends nobody either, and is heard when it does again', async ({ world }) => {
    const { redis, prefix, keys } = world;
    const channel = keys.limitNotice('u');
    const allow = (...what: string[]) => redis.call('ACL', 'SETUSER', prefix, ...what);
    await allow('on', '>secret', '~*', '+@all', 'allchannels');
    world.defer(() => redis.call('ACL', 'DELUSER', prefix));
    const url = new URL(world.redisUrl);
    url.username = prefix;
    url.password = 'secret';
    const errors: Error[] = [];
    const notices = openNotices(url.href, (error) => errors.push(error));
    world.defer(() => notices.stop());
    const heard: string[] = [];
    notices.on(channel, (text) => heard.push(text));
    const isHeard = () => vi.waitUntil(async () => (await redis.publish(channel, '{}')) === 1, { timeout: 5_000 });
    await isHeard();
    // Redis cuts the connection of who may hear it no more.
    await allow('resetchannels');
    await vi.waitUntil(() => errors.length > 0, { timeout: 5_000 });
    expect(errors[0]?.message).toContain(`expected to hear ${channel}, got NOPERM`);
    await allow('allchannels');
    await redis.call('CLIENT', 'KILL', 'USER', prefix);
    await isHeard();
  });
});
