// A hold renews itself, and knows by its own clock when it may not be relied on any more.

import { afterEach, describe, expect, it as plain, vi } from 'vitest';
import { createProducer, defineLane, LanekeeperError } from '../../src/index.ts';
import { holdLane } from '../../src/path/owner-hold.ts';
import { takeLane } from '../../src/path/owner-orders.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import type { OwnerLocks, RenewReply, TakeReply } from '../../src/store/ownership/owner-locks.ts';
import { systemClock } from '../../src/words/clock.ts';
import { it } from '../support/world.ts';
import { RETRYING } from './looking.ts';

const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
const options = { as: 'manual', reason: 'backfill' };

/** Locks that answer as they are told, at once. */
function toldLocks(renewed: () => Promise<RenewReply>) {
  const lease = {
    token: 7,
    as: 'manual',
    by: 'me',
    reason: 'r',
    sinceAt: 0,
    untilAt: 8_000,
    isLive: true,
    hold: 'h',
    nowAt: 0,
  };
  const granted: TakeReply = {
    kind: 'granted',
    isSame: false,
    lease,
    displaced: undefined,
    lanes: ['publish'],
    stopped: 0,
    ageMs: -1,
  };
  const calls = { renew: 0, release: 0 };
  const locks = {
    take: async () => granted,
    renew: () => {
      calls.renew++;
      return renewed();
    },
    release: async () => {
      calls.release++;
      return { kind: 'released', lease, lanes: ['publish'] };
    },
  } as unknown as OwnerLocks;
  return { locks, lease, calls };
}

describe('a hold, by its own clock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  const open = (locks: OwnerLocks, more = {}) =>
    holdLane({ locks, lane, by: 'me', clock: systemClock }, { ...options, ...more });

  plain('is renewed every 2 s, and held as long as it is', async () => {
    vi.useFakeTimers();
    const { locks, lease, calls } = toldLocks(async () => ({ kind: 'renewed', lease: { ...lease, untilAt: 99_000 } }));
    const hold = await open(locks);
    await vi.advanceTimersByTimeAsync(60_500);
    expect(calls.renew).toBe(30);
    expect(hold).toMatchObject({ isHeld: true, untilAt: 99_000, token: 7 });
    await hold.release();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls).toEqual({ renew: 30, release: 1 });
    expect(hold.signal.aborted).toBe(false);
    expect(() => hold.claim()).toThrow(
      /^lane "publish" is not held by manual of me any more: it was released; take it again$/,
    );
  });

  plain(
    'is over 6 s after the last renewal was asked for, also when Redis says nothing: errors extend nothing',
    async () => {
      vi.useFakeTimers();
      let isUp = true;
      const { locks, lease } = toldLocks(async () => {
        if (!isUp) throw new Error('no answer');
        return { kind: 'renewed', lease };
      });
      const hold = await open(locks);
      await vi.advanceTimersByTimeAsync(4_100); // renewed at 2 s and 4 s
      isUp = false;
      await vi.advanceTimersByTimeAsync(5_800);
      expect(hold.isHeld).toBe(true);
      await vi.advanceTimersByTimeAsync(200);
      expect(hold.isHeld).toBe(false);
      expect(hold.signal.reason).toBeInstanceOf(LanekeeperError);
      isUp = true;
      await vi.advanceTimersByTimeAsync(20_000);
      expect(hold.isHeld).toBe(false);
    },
  );

  plain('that slept is not held when it wakes, before any timer of its has fired', async () => {
    vi.useFakeTimers();
    const { locks, lease } = toldLocks(async () => ({ kind: 'renewed', lease }));
    let sleptMs = 0;
    const clock = { now: systemClock.now, mono: () => systemClock.mono() + sleptMs };
    const hold = await holdLane({ locks, lane, by: 'me', clock }, options);
    expect(hold.isHeld).toBe(true);
    sleptMs = 6_001;
    expect(hold.isHeld).toBe(false);
    expect(() => hold.claim()).toThrow('it could not be renewed in time');
    expect(hold.signal.aborted).toBe(false); // its timers tell a moment later
    await vi.advanceTimersByTimeAsync(2_000);
    expect(hold.signal.aborted).toBe(true);
  });

  plain('is given back behind a renewal that is under way, which would bring it back', async () => {
    vi.useFakeTimers();
    let answer: (reply: RenewReply) => void = () => {};
    const { locks, lease, calls } = toldLocks(() => new Promise((resolve) => (answer = resolve)));
    const hold = await open(locks);
    await vi.advanceTimersByTimeAsync(2_100);
    const released = hold.release();
    await vi.advanceTimersByTimeAsync(100);
    expect(calls).toEqual({ renew: 1, release: 0 });
    answer({ kind: 'renewed', lease });
    await released;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toEqual({ renew: 1, release: 1 });
  });

  plain('ends with its term, however well it is renewed', async () => {
    vi.useFakeTimers();
    const { locks, lease } = toldLocks(async () => ({ kind: 'renewed', lease }));
    const hold = await open(locks, { for: '15s' });
    await vi.advanceTimersByTimeAsync(14_900);
    expect(hold.isHeld).toBe(true);
    await vi.advanceTimersByTimeAsync(200);
    expect(String(hold.signal.reason)).toContain('its term has ended');
  });
});

describe('producer.take', () => {
  it('holds the lane against others, and gives it back with the hold, or with the producer', async ({ world }) => {
    const locks = createSingleLocks(world);
    const producer = await createProducer({ redis: world.redisUrl, prefix: world.prefix });
    const cron = () => takeLane({ locks, lane, lanes: [] }, { as: 'cron', by: 'x', reason: 'r', for: '1s' });
    {
      await using hold = await producer.take(lane, options);
      expect(hold).toMatchObject({ isHeld: true, as: 'manual', lanes: ['publish'] });
      await expect(cron()).rejects.toThrow(/is owned by manual of .* for: backfill/);
    }
    const { token } = await cron();
    await vi.waitFor(async () => expect((await producer.take(lane, options)).token).toBeGreaterThan(token), RETRYING);
    await producer.close();
    await expect(cron()).resolves.toMatchObject({ displaced: null });
  });

  it('tells its signal with a reason that the lane was taken from it', async ({ world }) => {
    const locks = createSingleLocks(world);
    const producer = await world.producer();
    const hold = await producer.take(lane, { ...options, for: '1h' });
    const lost = new Promise((resolve) => hold.signal.addEventListener('abort', resolve));
    await takeLane({ locks, lane, lanes: [] }, { as: 'cron', by: 'x', reason: 'mine', for: '1m', isForced: true });
    await lost;
    expect(hold.isHeld).toBe(false);
    expect(String(hold.signal.reason)).toMatch(
      /not held by manual of .* any more: it is owned by cron of x since .*, for: mine; /,
    );
    await expect(hold.add({})).rejects.toMatchObject({ code: 'LK_OWNED' });
    await hold.release();
    expect(
      (await locks.look({ address: { tag: 'publish', name: 'publish' }, lane: 'publish', lanes: {} })).lease,
    ).toMatchObject({
      as: 'cron',
      isLive: true,
    });
  });

  it.for([
    [{ as: 'manual' }, /^reason: expected /],
    [{ as: '', reason: 'r' }, /^as: expected /],
    [{ ...options, for: '0s' }, /^for: expected /],
    [{ ...options, until: 5 }, /^"until": expected one of as, reason, for$/],
    [null, /^take: expected \{ as, reason, for \}, got null$/],
  ] as const)('refuses %j', async ([given, said], { world }) => {
    const producer = await world.producer();
    await expect(producer.take(lane, given as never)).rejects.toThrow(said);
    await expect(producer.take(defineLane({ name: 'open' }), options)).rejects.toThrow(/expected an exclusive lane/);
    expect(await world.redis.keys(`${world.prefix}:*owner`)).toEqual([]);
  });
});
