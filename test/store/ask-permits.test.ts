// The one script that grants permits: never more than there are, and back by themselves when nobody says so.

import fc from 'fast-check';
import { describe, expect, vi } from 'vitest';
import { extendSlot } from '../../src/store/scripts/extend-slot.ts';
import { holdLimits } from '../../src/store/scripts/hold-limits.ts';
import { registerLimits } from '../../src/store/scripts/register-limits.ts';
import { it } from '../support/world.ts';
import { openLimits } from './open-limits.ts';

describe('slots', () => {
  it('are as many as the limit says, over all lanes and pods, and free at once when given back', async ({ world }) => {
    const { granted, used } = await openLimits(world, { concurrent: 3 });
    const first = await granted({ slots: 2 });
    const second = await granted({ lane: 'b', pod: 'p1', slots: 2 });
    expect([first.slots.length, second.slots.length]).toEqual([2, 1]);
    expect(second.againInMs).toBe(500);
    expect((await granted({ lane: 'c', pod: 'p2', slots: 1 })).slots).toEqual([]);
    await granted({ freed: first.slots });
    expect(await used('concurrent')).toBe(1);
  });

  it('come back when their lease ends; a kept one does not', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 1 });
    const { slots } = await granted({ slots: 1, slotMs: 300 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await granted({ kept: slots, slotMs: 400 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await granted({ lane: 'b', pod: 'p1', slots: 1 })).slots).toEqual([]);
    await vi.waitFor(async () => expect((await granted({ lane: 'b', pod: 'p1', slots: 1 })).slots).toHaveLength(1));
  });

  it('that another has by now are lost to who held them; while there is room they are had again', async ({ world }) => {
    const { granted, at } = await openLimits(world, { concurrent: 1 });
    const { slots } = await granted({ slots: 1, slotMs: 1 });
    await vi.waitFor(async () => expect((await granted({ lane: 'b', pod: 'p1', slots: 1 })).slots).toHaveLength(1));
    expect((await granted({ kept: slots })).lost).toEqual(slots);
    // As after a FLUSHALL: whoever holds one names it, and it counts again.
    const [other] = await world.redis.zrange(at.slots, '0', '-1');
    await world.redis.del(at.slots);
    await world.redis.hset(at.limits, 'used:concurrent', '0');
    expect((await granted({ lane: 'b', pod: 'p1', kept: [other as string] })).lost).toEqual([]);
    expect((await granted({ slots: 1 })).slots).toEqual([]);
  });

  it('are held until the answer must be here, whatever becomes of the pod', async ({ world }) => {
    const { granted, at } = await openLimits(world, { concurrent: 1 });
    const { slots } = await granted({ slots: 1, slotMs: 100 });
    const [id] = slots as [string];
    expect(await extendSlot.run(world.redis, { slots: at.slots }, { id, forMs: 60_000 })).toBe(true);
    await granted({ wired: slots, slotMs: 100 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect((await granted({ lane: 'b', slots: 1 })).slots).toEqual([]);
    expect(await extendSlot.run(world.redis, { slots: at.slots }, { id: 'nobody', forMs: 1 })).toBe(false);
  });

  it('of an attempt that needs several are granted all or none', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 3 });
    expect((await granted({ slots: 4, unit: 2 })).slots).toHaveLength(2);
    expect((await granted({ lane: 'b', slots: 1 })).slots).toHaveLength(1);
  });
});

describe('tickets', () => {
  it('are as many as the limit says in every interval, and count until they have surely arrived', async ({ world }) => {
    const { granted, used } = await openLimits(world, { count: 3, perMs: 500 });
    const { tickets, batch, againInMs } = await granted({ tickets: 5 });
    expect(tickets).toBe(3);
    expect(againInMs).toBeGreaterThan(400); // an interval from when they may arrive at the latest
    // Two had arrived as soon as they were granted: they leave the window 30 ms sooner than the third.
    await granted({ sent: [{ batch, count: 2, arrivedMsAgo: 0 }], tickets: 1 });
    expect(await used('per')).toBe(3);
    await vi.waitFor(async () => expect((await granted({ tickets: 1 })).tickets).toBe(1), {
      timeout: 2_000,
      interval: 5,
    });
  });

  it('that were never sent are free again', async ({ world }) => {
    const { granted, used } = await openLimits(world, { count: 3, perMs: 60_000 });
    const { batch } = await granted({ tickets: 3 });
    await granted({ unsent: [{ batch, count: 2 }] });
    expect(await used('per')).toBe(1);
    expect((await granted({ tickets: 3 })).tickets).toBe(2);
  });

  it('go back once, though the ask that brings them is sent twice', async ({ world }) => {
    const { granted, used } = await openLimits(world, { count: 6, perMs: 600_000 });
    // Of one bucket: two batches within 600 ms.
    const first = await granted({ tickets: 2 });
    await granted({ tickets: 2 });
    const again = { unsent: [{ batch: first.batch, count: 2 }], number: 100 };
    await granted(again);
    await granted(again);
    expect(await used('per')).toBe(2);
    // Another driver of the same pod counts anew; the next ask is another.
    await granted({ unsent: [{ batch: first.batch, count: 1 }], number: 1, driver: 'next' });
    expect(await used('per')).toBe(1);
    await granted({ unsent: [{ batch: first.batch, count: 1 }], number: 2, driver: 'next' });
    expect(await used('per')).toBe(0);
  });

  it('are granted in step with slots: neither without the other', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 2, count: 5, perMs: 60_000 });
    expect(await granted({ slots: 4, tickets: 4 })).toMatchObject({
      slots: [expect.any(String), expect.any(String)],
      tickets: 2,
    });
    // In hand there may be either.
    expect(await granted({ tickets: 2 })).toMatchObject({ slots: [], tickets: 2 });
    expect(await granted({ lane: 'b', slots: 1, tickets: 1 })).toMatchObject({ slots: [], tickets: 0 });
  });
});

describe('an upstream', () => {
  it('that holds everybody is left alone until then; the longest hold stands', async ({ world }) => {
    const { granted, at, channel } = await openLimits(world, { concurrent: 1 });
    const hold = (forMs: number) =>
      holdLimits.run(world.redis, { limits: at.limits }, { forMs, reason: '429', who: 'p0', channel });
    expect([await hold(400), await hold(100)]).toEqual([true, false]);
    const { slots, againInMs, heldMs } = await granted({ slots: 1 });
    expect(slots).toEqual([]);
    expect(againInMs).toBeGreaterThan(200);
    // Whoever asks anything hears of it; when it is over nobody does.
    expect(heldMs).toBeGreaterThan(200);
    expect((await granted({})).heldMs).toBeGreaterThan(200);
    await vi.waitFor(async () => expect((await granted({ slots: 1 })).slots).toHaveLength(1));
    expect((await granted({})).heldMs).toBe(0);
  });

  it('of which nothing is known is registered first, and then closed for as long as its windows', async ({ world }) => {
    const { ask, at, limits, channel } = await openLimits(world, { concurrent: 1 });
    await world.redis.del(at.limits);
    expect(await ask({ slots: 1 })).toBeUndefined();
    const text = JSON.stringify(limits);
    const { closedMs } = await registerLimits.run(world.redis, at, {
      pod: 'p0',
      driver: 'scripts',
      limits: text,
      closedMs: 200,
      channel,
      known: '',
    });
    expect(closedMs).toBe(200);
    expect((await ask({ slots: 1 }))?.slots).toEqual([]);
    await vi.waitFor(async () => expect((await ask({ slots: 1 }))?.slots).toHaveLength(1));
  });

  it('that another run of Redis brought back, perhaps from an older state, is closed as if nothing were known', async ({
    world,
  }) => {
    const { ask, at, limits, channel } = await openLimits(world, { concurrent: 1 });
    await world.redis.hset(at.limits, 'run', 'before');
    expect(await ask({ slots: 1 })).toBeUndefined();
    const text = JSON.stringify(limits);
    const again = () =>
      registerLimits.run(world.redis, at, {
        pod: 'p0',
        driver: 'scripts',
        limits: text,
        closedMs: 200,
        channel,
        known: '',
      });
    expect([(await again()).closedMs, (await again()).closedMs]).toEqual([200, 0]);
    expect((await ask({ slots: 1 }))?.slots).toEqual([]);
    await vi.waitFor(async () => expect((await ask({ slots: 1 }))?.slots).toHaveLength(1));
  });

  it('that pods define differently keeps to the stricter, for as long as that pod lives', async ({ world }) => {
    const { granted, register, limits } = await openLimits(world, { concurrent: 5 });
    const { differ } = await register(
      'p1',
      limits.map((limit) => ({ ...limit, size: 2 })),
    );
    const sizes = [
      { size: 2, pods: ['p1'] },
      { size: 5, pods: ['p0'] },
    ];
    expect(differ).toEqual([{ limit: 'concurrent', sizes }]);
    expect((await register('p0')).differ, 'told once').toEqual([]);
    expect((await granted({ slots: 5 })).slots).toHaveLength(2);
    await register('p1', []);
    await register('p0');
    expect((await granted({ slots: 5 })).slots).toHaveLength(3);
  });

  it('is limited by what an operator set, until then', async ({ world }) => {
    const { granted, at } = await openLimits(world, { concurrent: 5 });
    const set = (size: number, until: number | null) =>
      world.redis.hset(at.limits, 'set:concurrent', JSON.stringify({ size, until, who: 'me', reason: 'r', at: 0 }));
    await set(3, null);
    const first = await granted({ slots: 3 });
    expect(first).toMatchObject({ slots: { length: 3 }, isContended: false });
    // Less than is in use: nothing is taken from anybody, and nobody hands on until it fits.
    await set(1, null);
    const [one, two, three] = first.slots as [string, string, string];
    expect(await granted({ kept: [one, two, three] })).toMatchObject({ lost: [], isContended: true });
    expect(await granted({ freed: [one, two], slots: 2 })).toMatchObject({ slots: [], isContended: false });
    await set(1, Date.now() - 1);
    expect((await granted({ slots: 5 })).slots).toHaveLength(4);
  });
});

describe('whatever lanes and pods ask', () => {
  it('no more is out than there is, and all of it comes back', async ({ world }) => {
    const pods = ['p0', 'p1', 'p2'];
    const lanes = ['a', 'b'];
    const step = fc.record({
      lane: fc.constantFrom(...lanes),
      pod: fc.constantFrom(...pods),
      slots: fc.integer({ min: 0, max: 4 }),
      tickets: fc.integer({ min: 0, max: 4 }),
      demand: fc.integer({ min: 0, max: 8 }),
      free: fc.integer({ min: 0, max: 4 }),
      unsend: fc.integer({ min: 0, max: 4 }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(step),
        async (concurrent, count, steps) => {
          const { granted, used } = await openLimits(world, { concurrent, count, perMs: 600_000 }, `u${run++}`);
          const held = new Map<string, { slots: string[]; tickets: { batch: number; count: number }[] }>();
          let sent = 0;
          for (const { lane, pod, slots, tickets, demand, free, unsend } of steps) {
            const who = `${lane}|${pod}`;
            const mine = held.get(who) ?? { slots: [], tickets: [] };
            held.set(who, mine);
            const unsent = mine.tickets.splice(0, unsend);
            const reply = await granted({
              ...{ lane, pod, slots, tickets, demand, unsent },
              freed: mine.slots.splice(0, free),
            });
            mine.slots.push(...reply.slots);
            if (reply.tickets > 0) mine.tickets.push({ batch: reply.batch, count: reply.tickets });
            sent = [...held.values()].flatMap((one) => one.tickets).reduce((sum, ticket) => sum + ticket.count, 0);
            const out = [...held.values()].reduce((sum, one) => sum + one.slots.length, 0);
            expect(out).toBeLessThanOrEqual(concurrent);
            expect(sent).toBeLessThanOrEqual(count);
            expect([await used('concurrent'), await used('per')]).toEqual([out, sent]);
          }
          for (const [who, mine] of held) {
            const [lane, pod] = who.split('|') as [string, string];
            await granted({ lane, pod, freed: mine.slots, unsent: mine.tickets });
          }
          expect([await used('concurrent'), await used('per')]).toEqual([0, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });
});
