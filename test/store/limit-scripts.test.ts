// What the script driver makes of the scripts: a pod comes, hears, asks and leaves.

import { describe, expect, vi } from 'vitest';
import type { LimitNotice, LimitsShut } from '../../src/store/limit-driver.ts';
import { openScriptDriver } from '../../src/store/limit-scripts.ts';
import { type Notices, openNotices } from '../../src/store/notices.ts';
import { holdLimits } from '../../src/store/scripts/hold-limits.ts';
import { registerLimits } from '../../src/store/scripts/register-limits.ts';
import { releaseHold } from '../../src/store/scripts/release-hold.ts';
import { limit } from '../path/limited-upstream.ts';
import { it, type World } from '../support/world.ts';
import { asks } from './asks.ts';

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
    expect(await world.redis.hexists(world.keys.limitDefinitions('u'), 'def:p1')).toBe(0);
  });
});

describe('an upstream of which nothing is known', () => {
  it.for([
    ['slots', [limit('concurrent', 3)], 3_000],
    ['a second', [limit('count', 5, 1_000)], 1_000],
    ['the longest of several', [limit('concurrent', 3), limit('count', 5, 1_000), limit('tokens', 9, 7_000)], 7_000],
    ['a day', [limit('count', 5, 86_400_000)], 10_000],
  ] as const)('is full for as long as its windows, 10 s at the most: %s', async ([, limits, forMs], { world }) => {
    const { redis, keys, redisUrl } = world;
    const notices = openNotices(redisUrl, () => {});
    world.defer(() => notices.stop());
    const shut: number[] = [];
    const plan = { driver: 'scripts', limits, travelMs: 10 } as const;
    const options = { redis, notices, keys, tag: 'u', plan, onShut: (told: LimitsShut) => void shut.push(told.forMs) };
    for (const pod of ['p0', 'p1']) {
      const driver = openScriptDriver({ ...options, pod });
      world.defer(() => driver.stop());
      await driver.register();
    }
    expect(shut, 'told once, of all pods').toEqual([forMs]);
  });
});

describe('a notice that is lost', () => {
  const ASK = asks({ slots: 1 });
  const deaf: Notices = { on() {}, stop() {} };
  const SLOTS = { name: 'concurrent', kind: 'concurrent', size: 2, perMs: 0, byAgent: false } as const;

  /** A pod that hears nothing, and another that says what the limits are. */
  async function open({ redis, keys, defer }: World) {
    const at = { limits: keys.limits('u'), definitions: keys.limitDefinitions('u') };
    await redis.hset(at.limits, 'born', 1);
    const channel = keys.limitNotice('u');
    const plan = { driver: 'scripts', limits: [SLOTS], travelMs: 10 } as const;
    const driver = openScriptDriver({ redis, notices: deaf, keys, tag: 'u', pod: 'p0', plan });
    defer(() => driver.stop());
    const heard: LimitNotice['kind'][] = [];
    driver.onNotice(({ kind }) => heard.push(kind));
    const say = (limits: object[]) =>
      registerLimits.run(redis, at, {
        pod: 'p1',
        driver: 'scripts',
        limits: JSON.stringify(limits),
        closedMs: 0,
        channel,
        known: '',
      });
    return { driver, heard, at, channel, say };
  }

  it('is made up for at the next ask: a limit that is new holds from then on', async ({ world }) => {
    const { driver, heard, say } = await open(world);
    expect((await driver.ask(ASK)).slots).toHaveLength(1);
    expect(driver.needs.tickets).toBe(false);
    await say([SLOTS, { name: 'per-1m', kind: 'count', size: 60, perMs: 60_000, byAgent: false }]);
    await driver.ask(ASK);
    expect(driver.needs.tickets).toBe(true);
    expect(heard, 'and those who wait ask').toContain('released');
  });

  it('without the revision would be unknown until the next beat (twin)', async ({ world }) => {
    const { driver, say, at } = await open(world);
    await driver.ask(ASK);
    const before = (await world.redis.hget(at.limits, 'rev')) ?? '0';
    await say([SLOTS, { name: 'per-1m', kind: 'count', size: 60, perMs: 60_000, byAgent: false }]);
    await world.redis.hset(at.limits, 'rev', before);
    await driver.ask(ASK);
    expect(driver.needs.tickets).toBe(false);
  });

  it('of the end of a hold is made up for at the next beat', async ({ world }) => {
    const { driver, heard, at, channel } = await open(world);
    await driver.register();
    const hold = { forMs: 60_000, reason: '429', who: 'p1', channel };
    await holdLimits.run(world.redis, { limits: at.limits }, hold);
    await driver.register();
    expect(heard, 'who asks hears of a hold by its answer').toEqual([]);
    const released = { limits: at.limits, journal: world.keys.journal('forum') };
    expect(await releaseHold.run(world.redis, released, { channel, who: 'ann', known: '{}' })).toMatchObject({
      who: 'p1',
      reason: '429',
    });
    await driver.register();
    expect(heard).toEqual(['released']);
    expect(
      await releaseHold.run(world.redis, released, { channel, who: 'ann', known: '{}' }),
      'there is none',
    ).toBeUndefined();
  });

  it('is not looked for in the buckets, of which there are thousands', async ({ world }) => {
    const { driver, at } = await open(world);
    const old = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`ask:lane${n}|gone`, 'd 1 1']));
    await world.redis.hset(at.limits, old);
    await driver.register();
    const left = await world.redis.hlen(at.limits);
    expect(left, 'some of the old asks at a time').toBeGreaterThan(2_500);
    for (let beat = 0; beat < 60; beat++) await driver.register();
    expect((await world.redis.hkeys(at.limits)).filter((field) => field.startsWith('ask:'))).toEqual([]);
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
