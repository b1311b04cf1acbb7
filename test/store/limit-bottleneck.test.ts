// The driver of limits on Bottleneck, by pods that are processes: never over, all of it used, and again after each
// fault. What takes longer: test/faults/limit-bottleneck.fault.ts.

import { describe, expect, vi } from 'vitest';
import { defineUpstream } from '../../src/index.ts';
import { lookAtLimits } from '../../src/path/limit-look.ts';
import { it } from '../support/world.ts';
import { asks } from './asks.ts';
import { openHeard as open, slotsOf, TAG } from './bottleneck-driver.ts';
import { countBy, machineMs, mostAtOnce } from './limit-ledger.ts';
import { concurrent, orderSize, perSecond, usersOf } from './limit-users.ts';

const work = (parallel: number, workMs: number, lane = 'a', weight = 1) => ({ lane, parallel, workMs, weight });
const since = <E extends { beganMs: number }>(entries: E[], atMs: number) =>
  entries.filter(({ beganMs }) => beganMs > atMs);

describe('four pods', () => {
  it('share three slots: never a fourth at once, each pod its part, little lost', async ({ world }) => {
    const users = await usersOf(world, TAG, [concurrent(3)]);
    for (const pod of ['p0', 'p1', 'p2', 'p3']) users.add(pod, { works: [work(10, 100)] });
    for (const pod of ['p0', 'p1', 'p2', 'p3']) await users.begun(pod, 0);
    const fromMs = machineMs();
    await users.begun('p0', fromMs, 25);
    const seconds = (machineMs() - fromMs) / 1_000;
    await users.stop();
    const during = since(users.entries(), fromMs);
    expect(mostAtOnce(users.entries())).toBe(3);
    for (const count of Object.values(countBy(during, 'pod'))) expect(count).toBeGreaterThan(during.length / 8);
    expect(during.length / (30 * seconds)).toBeGreaterThan(0.7);
  });
});

describe('a pod whose clock is an hour ahead', () => {
  it('changes nothing; by its own clock it lets more run than may (twin)', async ({ world }) => {
    const right = await usersOf(world, 'right', [concurrent(4)]);
    const wrong = await usersOf(world, 'wrong', [concurrent(4)]);
    for (const [users, without] of [[right, undefined] as const, [wrong, 'clock'] as const]) {
      users.add('p0', { works: [work(10, 300)], without });
    }
    for (const users of [right, wrong]) await users.begun('p0', 0, 8);
    const fromMs = machineMs();
    right.add('ahead', { works: [work(10, 300)], isAhead: true });
    wrong.add('ahead', { works: [work(10, 300)], isAhead: true, without: 'clock' });
    await right.begun('ahead', fromMs, 12);
    await wrong.begun('ahead', fromMs, 4);
    await vi.waitUntil(() => mostAtOnce(wrong.entries()) > 4, { timeout: 10_000 });
    await Promise.all([right.stop(), wrong.stop()]);
    expect(mostAtOnce(right.entries())).toBe(4);
  });
});

describe('when the state is gone', () => {
  it('those who held slots hear that they hold them no more', async ({ world }) => {
    const driver = open(world, 'p0', [concurrent(2)]);
    const [slot = ''] = await slotsOf(driver, 1);
    expect((await driver.ask(asks({ kept: [slot] }))).lost).toEqual([]);
    await world.redis.unlink(...(await world.redis.keys(`${world.prefix}:u:*`)));
    await vi.waitUntil(() => driver.notices.some(({ kind }) => kind === 'held'), { timeout: 5_000 });
    const { lost, slots, againInMs } = await driver.ask(asks({ kept: [slot], slots: 1 }));
    expect({ lost, slots }).toEqual({ lost: [slot], slots: [] });
    expect(againInMs).toBeGreaterThan(5_000);
  });
});

describe('a pod', () => {
  it('that stops leaves its slots to others at once, and no field of its own', async ({ world }) => {
    const [first, second] = [open(world, 'p0', [concurrent(2)]), open(world, 'p1', [concurrent(2)])];
    const slots = await slotsOf(first, 2);
    await first.ask(asks({ freed: slots }));
    await first.stop();
    expect(await slotsOf(second, 2)).toHaveLength(2);
    expect(await world.redis.hexists(world.keys.limitDefinitions(TAG), 'def:p0')).toBe(0);
    // A client without it makes Bottleneck's scripts fail for all others until it is forgotten, 10 s later.
    const slotsKey = world.keys.bottleneck(TAG, 'slots');
    const clients = await world.redis.zrange(`${slotsKey}_client_running`, '0', '-1');
    expect(clients).toHaveLength(2);
    expect(await world.redis.hkeys(`${slotsKey}_client_num_queued`)).toEqual(expect.arrayContaining(clients));
  });
});

describe('a hold', () => {
  it('reaches every pod at once, until its end', async ({ world }) => {
    const [first, second] = [open(world, 'p0', [concurrent(2)]), open(world, 'p1', [concurrent(2)])];
    await slotsOf(first, 1);
    await vi.waitUntil(async () => (await world.redis.hkeys(world.keys.limitDefinitions(TAG))).includes('def:p1'));
    const heldMs = machineMs();
    await first.hold(1_500, '429 with Retry-After');
    await vi.waitUntil(() => second.notices.some(({ kind }) => kind === 'held'), { timeout: 1_000 });
    for (const driver of [first, second]) {
      const { slots, againInMs } = await driver.ask(asks({ slots: 1 }));
      expect(slots).toEqual([]);
      expect(againInMs).toBeGreaterThan(500);
    }
    await slotsOf(second, 1);
    expect(machineMs() - heldMs).toBeGreaterThan(1_490);
  });
});

describe('the size', () => {
  it('follows what somebody orders, and its end, in every pod', async ({ world }) => {
    const limits = world.keys.limits(TAG);
    const driver = open(world, 'p0', [concurrent(3)]);
    const slots = await slotsOf(driver, 3);
    await orderSize(world, TAG, 'concurrent', 1);
    const size = () => world.redis.hget(`${world.keys.bottleneck(TAG, 'slots')}_settings`, 'maxConcurrent');
    await vi.waitUntil(async () => (await size()) === '1', { timeout: 1_000 });
    expect((await driver.ask(asks({ kept: slots }))).lost).toEqual([]); // what runs goes on
    await driver.ask(asks({ freed: slots.slice(0, 2), slots: 1 }));
    const weights = `${world.keys.bottleneck(TAG, 'slots')}_job_weights`;
    await vi.waitUntil(async () => (await world.redis.hlen(weights)) === 1, { timeout: 3_000 });
    expect((await driver.ask(asks({ slots: 1 }))).slots).toEqual([]);
    await world.redis.hdel(limits, 'set:concurrent');
    expect(await slotsOf(driver, 2)).toHaveLength(2);
  });

  it('is the stricter of two pods that define it differently, until one is gone', async ({ world }) => {
    const [first, second] = [open(world, 'p0', [perSecond(20)]), open(world, 'p1', [perSecond(10)])];
    const spacing = async () =>
      Number(await world.redis.hget(`${world.keys.bottleneck(TAG, 'tickets')}_settings`, 'minTime'));
    await vi.waitUntil(async () => (await spacing()) > 100, { timeout: 5_000 });
    await second.stop();
    await vi.waitUntil(async () => Math.floor(await spacing()) === 51, { timeout: 5_000 });
    expect(first.plan.limits).toHaveLength(1);
  });
});

describe('whoever looks', () => {
  it('sees what is in use, of whom, and who waits, until the pod is gone', async ({ world }) => {
    const driver = open(world, 'p0', [concurrent(1), { ...perSecond(60), name: 'per-1m', perMs: 60_000 }]);
    const look = () => lookAtLimits(world.redis, world.keys, defineUpstream({ name: TAG }));
    let used = 0;
    const isIn = async () => {
      const { slots, tickets } = await driver.ask(asks({ slots: 1, tickets: 1 }));
      used += tickets?.count ?? 0;
      return slots.length === 1;
    };
    await vi.waitUntil(isIn, { timeout: 10_000, interval: 10 });
    await driver.ask(asks({ lane: 'b', weight: 2, slots: 1, tickets: 1 }));
    const waiting = [expect.objectContaining({ lane: 'b', pod: 'p0', want: 1 })];
    await vi.waitFor(async () => expect((await look()).waiting).toEqual(waiting), { timeout: 5_000 });
    const { limits } = await look();
    const mine = { lane: 'a', count: 1 };
    expect(limits.sort((one, other) => one.limit.localeCompare(other.limit))).toMatchObject([
      { limit: 'concurrent', inUse: 1, holders: [{ ...mine, pod: 'p0' }] },
      { limit: 'per-1m', inUse: used, byLane: [{ ...mine, count: used }], freesAt: expect.any(Number) },
    ]);
    await driver.stop();
    expect((await look()).waiting).toEqual([]);
  });
});

describe('a slot', () => {
  it('whose lease is extended outlives its pod until then; one that is not held cannot be', async ({ world }) => {
    const driver = open(world, 'p0', [concurrent(1)]);
    const [slot = ''] = await slotsOf(driver, 1);
    expect(await driver.extend(slot, 60_000)).toBe(true);
    const leases = `${world.keys.bottleneck(TAG, 'slots')}_job_expirations`;
    const [seconds = 0] = await world.redis.time();
    expect(Number(await world.redis.zscore(leases, slot)) / 1_000 - Number(seconds)).toBeGreaterThan(55);
    await driver.ask(asks({ kept: [slot] }));
    expect(Number(await world.redis.zscore(leases, slot)) / 1_000 - Number(seconds)).toBeGreaterThan(55);
    expect(await driver.extend('nobody', 1_000)).toBe(false);
  });

  it('is handed from lane to lane within the pod, to the one that holds least for its weight', async ({ world }) => {
    const driver = open(world, 'p0', [concurrent(3)]);
    const slots = await slotsOf(driver, 3);
    expect((await driver.ask(asks({ lane: 'b', slots: 1 }))).slots).toEqual([]);
    const first = await driver.ask(asks({ kept: slots }));
    expect(first.isContended).toBe(true);
    await driver.ask(asks({ freed: slots.slice(0, 1), slots: 1 }));
    expect(driver.notices).toContainEqual({ kind: 'free', lane: 'b' });
    expect((await driver.ask(asks({ lane: 'b', slots: 1 }))).slots).toEqual(slots.slice(0, 1));
    const holders = () => world.redis.hgetall(world.keys.bottleneckHolders(TAG));
    expect(await holders()).toEqual({
      [slots[0] as string]: 'b|p0',
      [slots[1] as string]: 'a|p0',
      [slots[2] as string]: 'a|p0',
    });
    await driver.ask(asks({ freed: slots.slice(1) }));
    await vi.waitUntil(async () => Object.keys(await holders()).length === 1, { timeout: 3_000 });
  });
});

describe('Redis', () => {
  it('that forgets its scripts changes nothing', async ({ world }) => {
    const driver = open(world, 'p0', [concurrent(2), perSecond(20)]);
    // On a busy machine a ticket may run out on its way: its slot goes back.
    let freed: readonly string[] = [];
    const granted = async () => {
      const { slots, tickets } = await driver.ask(asks({ slots: 1, tickets: 1, freed }));
      freed = tickets ? [] : slots;
      return slots.length === 1 && tickets?.count === 1;
    };
    await vi.waitUntil(granted, { timeout: 5_000, interval: 10 });
    await world.redis.script('FLUSH');
    await vi.waitUntil(granted, { timeout: 5_000, interval: 10 });
  });
});
