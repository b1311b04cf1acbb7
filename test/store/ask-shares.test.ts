// Whose turn it is: the lane that is furthest below its share, by weight, is called; and one that comes late keeps its claim.

import { describe, expect, vi } from 'vitest';
import { it, type World } from '../support/world.ts';
import { openLimits } from './open-limits.ts';

describe('who is called', () => {
  it('the lane that is furthest below its share, when a slot is free; and then it is served', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 3 });
    const { slots } = await granted({ slots: 3 });
    expect((await granted({ lane: 'b', pod: 'p1', slots: 3 })).isContended).toBe(false);
    // Lane a frees one and wants it again: b has none.
    const again = await granted({ freed: slots.slice(0, 1), slots: 1 });
    expect(again).toMatchObject({ slots: [], isContended: true });
    expect((await granted({ lane: 'b', pod: 'p1', slots: 3 })).slots).toHaveLength(1);
    // One and one: of two alike, the one that was served longer ago.
    const warm = await granted({ freed: slots.slice(1, 2), slots: 1 });
    expect(warm.slots).toHaveLength(1);
    expect((await granted({ freed: slots.slice(2), slots: 1 })).slots).toEqual([]);
    expect((await granted({ lane: 'b', pod: 'p1', slots: 2 })).slots).toHaveLength(1);
  });

  it('is told of by a notice when it begins to wait, once, because those that hold slots do not ask', async ({
    world,
  }) => {
    const { granted, channel } = await openLimits(world, { concurrent: 1 });
    const told: string[] = [];
    const ear = world.redis.duplicate();
    world.defer(() => ear.disconnect());
    ear.on('message', (_, text: string) => void told.push(text));
    await ear.subscribe(channel);
    const { slots } = await granted({ slots: 1 });
    await granted({ pod: 'p9', slots: 1 }); // of the lane that has them all: nobody needs to know
    await granted({ lane: 'b', pod: 'p1', slots: 1 });
    await granted({ lane: 'b', pod: 'p2', slots: 1 });
    await granted({ lane: 'b', pod: 'p1', slots: 1 });
    await granted({ freed: slots });
    await vi.waitFor(() => expect(told.at(-1)).toContain('free'));
    expect(told.filter((text) => text.includes('wanted')).map((text) => JSON.parse(text))).toEqual([
      { kind: 'wanted', lane: 'b' },
    ]);
  });

  it('by weight', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 30 });
    const held = { a: [] as string[], b: [] as string[] };
    for (let n = 0; n < 400; n++) {
      const lane = n % 2 ? 'a' : 'b';
      const freed = held[lane].splice(0, 1);
      const { slots } = await granted({
        lane,
        weight: lane === 'a' ? 2 : 1,
        pod: 'p0',
        freed,
        slots: 30 - held[lane].length,
      });
      held[lane].push(...slots);
    }
    expect(held.a.length / (held.a.length + held.b.length)).toBeCloseTo(2 / 3, 1);
  });

  /** By who waited first the same three held them for ever: 67:33 instead of equal shares. */
  it('of more lanes than there are slots every one, in equal shares', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 3 });
    const lanes = ['a', 'b', 'c', 'd', 'e'];
    const held = new Map<string, string[]>();
    const got = new Map(lanes.map((lane) => [lane, 0]));
    for (let n = 0; n < 200; n++) {
      for (const lane of lanes) {
        // Each frees what it has and wants it again, as a lane does that always has work.
        const { slots } = await granted({ lane, pod: 'p0', freed: held.get(lane) ?? [], slots: 1 });
        held.set(lane, slots);
        got.set(lane, (got.get(lane) ?? 0) + slots.length);
      }
    }
    const counts = [...got.values()];
    const mean = counts.reduce((sum, count) => sum + count, 0) / lanes.length;
    expect(mean, 'they are in use').toBeGreaterThan(50);
    for (const count of counts) expect(Math.abs(count / mean - 1)).toBeLessThan(0.1);
  });

  it('though it needs several slots at once: they are kept for it one by one', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 3 });
    const big = { lane: 'b', pod: 'p1', unit: 3, slots: 3 };
    const { slots } = await granted({ slots: 3 });
    await granted(big);
    const got: number[] = [];
    for (const slot of slots) got.push((await granted({ freed: [slot], slots: 1 })).slots.length);
    expect(got, 'nobody above it takes them').toEqual([0, 0, 0]);
    expect((await granted(big)).slots).toHaveLength(3);
  });

  it('but not for one that needs more than there are, nor where only tickets are wanted', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 3, count: 9, perMs: 60_000 });
    await granted({ lane: 'b', pod: 'p1', unit: 4, slots: 4, tickets: 1 });
    const { slots } = await granted({ slots: 2, tickets: 2 });
    expect(slots).toHaveLength(2);
    await granted({ lane: 'c', pod: 'p2', unit: 2, slots: 2, tickets: 1 });
    expect(await granted({ slots: 1, tickets: 1 })).toMatchObject({ slots: [], tickets: 0 });
    expect(await granted({ tickets: 1 })).toMatchObject({ slots: [], tickets: 1 });
  });

  it('is not waited for when it does not come', async ({ world }) => {
    const { granted } = await openLimits(world, { concurrent: 1 });
    const { slots } = await granted({ slots: 1 });
    await granted({ lane: 'b', pod: 'p1', slots: 1 });
    expect((await granted({ freed: slots, slots: 1 })).slots).toEqual([]);
    await vi.waitFor(async () => expect((await granted({ slots: 1 })).slots).toHaveLength(1), {
      timeout: 1_000,
      interval: 10,
    });
  });
});

describe('a lane whose pods come late', () => {
  /** Two lanes of 2:1 that could use all there is, on four pods each that come up to 60 ms late; answers the share of the first. */
  async function race(world: World, weight: number, demand: number) {
    const size = 40;
    const { granted } = await openLimits(world, { count: size, perMs: 400 });
    let isOver = false;
    const got = { a: 0, b: 0 };
    const pods = ['p0', 'p1', 'p2', 'p3'].flatMap((pod) => (['a', 'b'] as const).map((lane) => ({ lane, pod })));
    await Promise.all(
      pods.map(async ({ lane, pod }, index) => {
        for (let turn = 0; !isOver; turn++) {
          const { tickets, againInMs = 0 } = await granted({
            ...{ lane, pod, weight: lane === 'a' ? weight : 1, tickets: 1, demand },
          });
          got[lane] += tickets;
          isOver = got.a + got.b > 12 * size;
          // Half of a's turns are later than what is kept for it.
          const lateMs = lane === 'a' ? ((turn + index) % 2) * 60 : 0;
          if (tickets === 0) await new Promise((resolve) => setTimeout(resolve, Math.min(againInMs, 100) + lateMs));
        }
      }),
    );
    return got.a / (got.a + got.b);
  }

  it('is as far below its share as it was when it comes, and catches up', async ({ world }) => {
    expect(Math.abs((await race(world, 2, 64)) - 2 / 3)).toBeLessThan(0.0667);
  });

  it('twin: has no such claim where nobody knows what it could use', async ({ world }) => {
    expect(await race(world, 2, 0)).toBeLessThan(0.6);
  });
});
