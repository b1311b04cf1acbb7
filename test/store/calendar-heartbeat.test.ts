// Agents that promise to register again and again: used while they are heard, by nobody while they are silent, and again at once when
// they are back, with a clock that the test moves.

import { describe, expect } from 'vitest';
import { journalled } from '../support/journalled.ts';
import { it } from '../support/world.ts';
import { type CalendarWorld, COOLDOWN, mustClaim, openCalendar, START, TAG } from './calendar-world.ts';

const HEARTBEAT = 30_000;

const register = (calendar: CalendarWorld, heartbeatMs?: number) =>
  calendar.calendar().change({ what: 'add', agent: 'a', by: 'service', heartbeatMs });

const told = async (calendar: CalendarWorld) =>
  (await journalled(calendar, TAG)).filter(({ what }) => what === 'agent.silent');

describe('an agent with a heartbeat', () => {
  it('is used while it is heard, silent for longer by nobody, and heard again at once', async ({ world }) => {
    const calendar = await openCalendar(world);
    for (let n = 0; n < 2; n++) await calendar.add('publish', { agent: 'a' });
    expect(await register(calendar, HEARTBEAT)).toEqual({ kind: 'known' });
    await calendar.after(HEARTBEAT - 1);
    await register(calendar, HEARTBEAT);
    await calendar.after(HEARTBEAT - 1);
    await calendar.beat();
    await calendar.done(await mustClaim(calendar));
    await calendar.after(COOLDOWN);
    await calendar.beat();
    expect(await calendar.claim('publish')).toBeUndefined();
    expect(await calendar.places()).toEqual({ a: 'silent' });
    expect(await register(calendar, HEARTBEAT)).toMatchObject({ kind: 'changed' });
    await mustClaim(calendar);
  });

  it('that is silent is told once, by whichever pod finds it', async ({ world }) => {
    const calendar = await openCalendar(world);
    await register(calendar, HEARTBEAT);
    await calendar.after(HEARTBEAT);
    for (const pod of ['p2', 'p1', 'p2']) await calendar.beat(pod);
    const silent = { what: 'agent.silent', upstream: TAG, agent: 'a', heartbeatMs: HEARTBEAT, heardAt: START };
    expect(await told(calendar)).toEqual([{ ...silent, who: 'p2' }]);
    await register(calendar, HEARTBEAT);
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    expect(await told(calendar)).toHaveLength(2);
  });

  it('that falls silent in an act ends it as ever, and owes its cooldown when it is back', async ({ world }) => {
    const calendar = await openCalendar(world);
    for (let n = 0; n < 2; n++) await calendar.add('publish');
    await register(calendar, HEARTBEAT);
    const held = await mustClaim(calendar);
    await calendar.after(HEARTBEAT);
    await calendar.beat('p1', [held]);
    expect(await calendar.places()).toEqual({ a: 'acting' });
    expect((await calendar.done(held)).released).toMatchObject({ opensInMs: COOLDOWN, isWanted: false });
    expect(await calendar.lies('publish', held.job.id)).toBe('completed');
    expect(await calendar.places()).toEqual({ a: 'silent' });
    await register(calendar);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(COOLDOWN - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });

  it('that is heard again in the same act goes on as if nothing was', async ({ world }) => {
    const calendar = await openCalendar(world);
    for (let n = 0; n < 2; n++) await calendar.add('publish');
    await register(calendar, HEARTBEAT);
    const held = await mustClaim(calendar);
    await calendar.after(HEARTBEAT);
    await calendar.beat('p1', [held]);
    await register(calendar, HEARTBEAT);
    await calendar.done(held);
    await calendar.after(COOLDOWN);
    await mustClaim(calendar);
  });

  it('leaves jobs for any agent to others', async ({ world }) => {
    const calendar = await openCalendar(world, { agents: ['a', 'b'] });
    await world.redis.hset(calendar.keys.agent(TAG, 'b'), 'ok', 0.5);
    await register(calendar, HEARTBEAT);
    await calendar.add('publish');
    expect(await calendar.places()).toEqual({ a: 'windows', b: 'idle' });
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    expect(await mustClaim(calendar)).toMatchObject({ agent: 'b' });
  });

  it('promises no more once it registers without one, or is removed', async ({ world }) => {
    const calendar = await openCalendar(world, { agents: ['a', 'b'] });
    await register(calendar, HEARTBEAT);
    await register(calendar);
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    await register(calendar, HEARTBEAT);
    await calendar.calendar().change({ what: 'remove', agent: 'a', by: 'service' });
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    expect(await calendar.places()).toEqual({ b: 'idle' });
    expect(await told(calendar)).toEqual([]);
  });

  it('that is silent stays so when what says where it stands is lost, or an operator moves its window', async ({
    world,
  }) => {
    const calendar = await openCalendar(world);
    await register(calendar, HEARTBEAT);
    await calendar.add('publish');
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    await world.redis.del(calendar.key('silent'));
    await calendar.beat();
    await calendar.calendar().change({ what: 'clear', agent: 'a', by: 'ann', reason: 'why' });
    expect(await calendar.places()).toEqual({ a: 'silent' });
    expect(await calendar.claim('publish')).toBeUndefined();
  });

  it('of which all is lost while it is silent waits for the longest cooldown when it is heard', async ({ world }) => {
    const calendar = await openCalendar(world);
    await register(calendar, HEARTBEAT);
    await calendar.add('publish');
    await calendar.after(HEARTBEAT);
    await calendar.beat();
    await world.redis.del(calendar.keys.agent(TAG, 'a'));
    await register(calendar, HEARTBEAT);
    await calendar.after(COOLDOWN - 1);
    expect(await calendar.claim('publish')).toBeUndefined();
    await calendar.after(1);
    await mustClaim(calendar);
  });
});
