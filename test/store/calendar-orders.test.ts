// What an order leaves of an agent's window: add, remove, mark and clear, while it waits and while it acts, with a clock that the test
// moves.

import { describe, expect } from 'vitest';
import { it } from '../support/world.ts';
import { type CalendarWorld, COOLDOWN, mustClaim, openCalendar as open } from './calendar-world.ts';

const HOUR = 3_600_000;

describe('an order', () => {
  const order = (calendar: CalendarWorld, what: 'add' | 'remove' | 'mark' | 'clear', more: object = {}) =>
    calendar.calendar().change({ what, agent: 'a', by: 'test', reason: 'why', source: 'operator', ...more });

  it('moves a window later, at once, and never sooner than it opens anyway', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    const before = calendar.now;
    expect(await order(calendar, 'mark', { untilAt: before + HOUR })).toEqual({
      kind: 'changed',
      before,
      after: before + HOUR,
    });
    expect(await calendar.claim('publish')).toBeUndefined();
    expect(await order(calendar, 'mark', { untilAt: before + 100, reason: 'sooner' })).toMatchObject({
      after: before + HOUR,
    });
    expect(await calendar.field('a', 'reason')).toBe('why');
    await calendar.after(HOUR - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await calendar.done(await mustClaim(calendar));
    expect(await order(calendar, 'mark', { untilAt: calendar.now + 100 })).toMatchObject({
      after: calendar.now + COOLDOWN,
    });
  });

  it('that clears one lets a mark be sooner', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await order(calendar, 'mark', { untilAt: calendar.now + HOUR });
    await order(calendar, 'clear');
    await order(calendar, 'mark', { untilAt: calendar.now + 100 });
    await calendar.after(99);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });

  it('clears one', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    await order(calendar, 'mark', { untilAt: calendar.now + HOUR });
    await order(calendar, 'clear');
    await mustClaim(calendar);
  });

  it('needs no reason', async ({ world }) => {
    const calendar = await open(world);
    for (const reason of [undefined, null])
      for (const what of ['mark', 'clear'] as const)
        expect(await order(calendar, what, { untilAt: calendar.now, reason, source: undefined })).toMatchObject({
          kind: 'changed',
        });
  });

  it('given while it acts holds after the act, if it is later', async ({ world }) => {
    const calendar = await open(world);
    await calendar.add('publish');
    const held = await mustClaim(calendar);
    await order(calendar, 'mark', { untilAt: calendar.now + HOUR });
    expect((await calendar.done(held)).released.opensInMs).toBe(HOUR);
    expect(await calendar.field('a', 'source')).toBe('operator');
  });

  it('that marks an agent leaves an idle one to the job that waited for it', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    await world.redis.hset(world.keys.agent('forum', 'b'), 'ok', 0.5);
    await calendar.add('publish');
    await order(calendar, 'mark', { untilAt: calendar.now + HOUR });
    await calendar.beat();
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'b' });
  });

  it('that removes an agent leaves an idle one to the job that waited for it', async ({ world }) => {
    const calendar = await open(world, { agents: ['a', 'b'] });
    await world.redis.hset(world.keys.agent('forum', 'b'), 'ok', 0.5);
    await calendar.add('publish');
    await order(calendar, 'remove');
    await calendar.beat();
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'b' });
  });

  it('removes an agent: its jobs wait, and nobody brings it back but an order', async ({ world }) => {
    const calendar = await open(world);
    const id = await calendar.add('publish', { agent: 'a' });
    await order(calendar, 'remove');
    await calendar.register();
    await calendar.beat();
    expect(await calendar.claim('publish')).toBeUndefined();
    expect(await calendar.places()).toEqual({});
    expect(await order(calendar, 'mark', { untilAt: 1 })).toEqual({ kind: 'unknown' });
    await order(calendar, 'add');
    expect((await mustClaim(calendar)).job.id).toBe(id);
  });

  it('removes an agent for good: what is known of it goes when it could matter no more', async ({ world }) => {
    const calendar = await open(world);
    const keptMs = () => world.redis.pttl(world.keys.agent('forum', 'a'));
    await order(calendar, 'mark', { untilAt: calendar.now + 2 * HOUR });
    expect(await keptMs()).toBe(-1);
    await order(calendar, 'remove');
    expect(await keptMs()).toBeGreaterThan(25 * HOUR);
    expect(await keptMs()).toBeLessThanOrEqual(26 * HOUR);
    await order(calendar, 'add');
    expect(await keptMs()).toBe(-1);
    expect(await calendar.opensIn('a')).toBe(2 * HOUR);
  });

  it('removed while it acts and added again, an agent still owes what it cost', async ({ world }) => {
    const calendar = await open(world);
    for (let n = 0; n < 2; n++) await calendar.add('publish', { agent: 'a' });
    const held = await mustClaim(calendar);
    await order(calendar, 'remove');
    await calendar.beat('p1', [held]);
    await calendar.done(held);
    expect(await calendar.places()).toEqual({});
    await order(calendar, 'add');
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(COOLDOWN - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });

  it('removed and added again while it acts, an agent goes on as if nothing was', async ({ world }) => {
    const calendar = await open(world);
    for (let n = 0; n < 2; n++) await calendar.add('publish', { agent: 'a' });
    const held = await mustClaim(calendar);
    await order(calendar, 'remove');
    await order(calendar, 'add');
    await calendar.beat('p1', [held]);
    expect(await calendar.claim('publish')).toBeUndefined();
    expect((await calendar.done(held)).released.opensInMs).toBe(COOLDOWN);
    await calendar.after(COOLDOWN);
    await mustClaim(calendar);
  });
});
