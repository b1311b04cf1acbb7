// Orders about who feeds a lane: what is wrong is one line and changes nothing, whatever it is.

import { describe, expect } from 'vitest';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { lookAtOwner, type OwnerOrders, releaseLane, takeLane } from '../../src/path/owner-orders.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { dumpOf, journalOf } from '../store/ownership/suite.ts';
import { it, type World } from '../support/world.ts';

const forum = defineUpstream({ name: 'forum' });
const agent = { cooldown: '2h' } as const;
const publish = defineLane({ name: 'publish', upstream: forum, agent, ownership: 'exclusive' });
const reply = defineLane({ name: 'reply', upstream: forum, agent, ownership: 'exclusive' });
const open = defineLane({ name: 'open' });
const by = 'ann@desk';

const ordersOn = (world: World, lane = publish): OwnerOrders => ({
  locks: createSingleLocks(world),
  lane,
  lanes: [publish, reply, open],
});
const order = (as: unknown = 'manual', more = {}) => ({ as, by, reason: 'backfill', for: '30m', ...more });

/** What it was refused with, on one line; and nothing was written. */
async function refusal(world: World, act: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  const before = await dumpOf([world.redis], world.prefix);
  const thrown = await act().then(
    (done) => expect.fail(`it was done: ${JSON.stringify(done)}`),
    (error) => error,
  );
  expect(await dumpOf([world.redis], world.prefix)).toBe(before);
  expect(thrown.message).not.toContain('\n');
  return thrown;
}

describe('taking a lane', () => {
  it('takes all that share its agents, says which, until when, and whom it displaced', async ({ world }) => {
    const taken = await takeLane(ordersOn(world), order('cron'));
    expect(taken).toMatchObject({
      lane: 'publish',
      lanes: ['publish', 'reply'],
      as: 'cron',
      displaced: null,
      isSame: false,
    });
    expect(taken.untilAt - taken.sinceAt).toBe(1_800_000);
    const forced = await takeLane(ordersOn(world, reply), order('manual', { isForced: true, for: '1h' }));
    expect(forced).toMatchObject({ lane: 'reply', displaced: { as: 'cron', by, reason: 'backfill' } });
    expect(await lookAtOwner(ordersOn(world))).toMatchObject({
      owner: { as: 'manual', token: forced.token },
      last: null,
    });
  });

  it('of another is refused with who has it, since when, until when and why', async ({ world }) => {
    const { sinceAt, untilAt } = await takeLane(ordersOn(world), order('cron'));
    const refused = await refusal(world, () => takeLane(ordersOn(world, reply), order()));
    expect(refused).toMatchObject({ code: 'LK_OWNED' });
    expect(refused.message).toBe(
      `lane "reply" is owned by cron of ann@desk since ${new Date(sinceAt).toISOString()}, until ${new Date(untilAt).toISOString()}, for: backfill; wait for that, or take it by force, with 'lanekeeper take reply --as manual --reason ... --force'`,
    );
  });

  it.for([
    ['no part', order('')],
    ['a part that is no name', order('Cron Job')],
    ['a part that is no text', order({})],
    ['an empty reason', order('manual', { reason: '' })],
    ['a reason of blanks', order('manual', { reason: '   ' })],
    ['a reason of two lines', order('manual', { reason: 'a\nb' })],
    ['no reason', order('manual', { reason: undefined })],
    ['an endless reason', order('manual', { reason: 'x'.repeat(501) })],
    ['no time at all', order('manual', { for: 0 })],
    ['a negative term', order('manual', { for: -1 })],
    ['a negative term as text', order('manual', { for: '-5m' })],
    ['an endless term', order('manual', { for: Number.POSITIVE_INFINITY })],
    ['a term of more than a day', order('manual', { for: '25h' })],
    ['a term that is no number', order('manual', { for: Number.NaN })],
    ['a term that is no duration', order('manual', { for: 'long' })],
    ['nobody', order('manual', { by: '' })],
  ] as const)('for %s is refused, and changes nothing', async ([_, wrong], { world }) => {
    await takeLane(ordersOn(world), order());
    const refused = await refusal(world, () => takeLane(ordersOn(world), wrong));
    expect(refused.code).toBe('LK_INPUT');
    expect(refused.message).toMatch(/^(as|by|reason|for): expected .+, got .+$/);
  });

  it('of an open one is refused: anybody feeds it', async ({ world }) => {
    const refused = await refusal(world, () => takeLane(ordersOn(world, open), order()));
    expect(refused.message).toMatch(/^lane "open": expected an exclusive lane, got an open one, which anybody feeds; /);
  });
});

describe('giving a lane back', () => {
  it('is journalled with why, and what it was taken for', async ({ world }) => {
    const { token } = await takeLane(ordersOn(world), order());
    const released = await releaseLane(ordersOn(world, reply), { as: 'manual', by, token, reason: 'all is in' });
    expect(released).toMatchObject({ lane: 'reply', lanes: ['publish', 'reply'], as: 'manual', reason: 'backfill' });
    const told = await journalOf(world.redis, world.keys);
    expect(told.at(-1)).toMatchObject({ what: 'lane.released', who: by, why: 'all is in', reason: 'backfill' });
    expect(await lookAtOwner(ordersOn(world))).toMatchObject({ owner: null, last: { as: 'manual' } });
  });

  it.for([
    [
      'what another has',
      { as: 'cron', by },
      /^lane "publish" is owned by manual of ann@desk since .*, not by cron of ann@desk: /,
    ],
    [
      'what another person has',
      { as: 'manual', by: 'bob@desk' },
      /not by manual of bob@desk: only its owner gives it back, and 'lanekeeper take publish .*--force' takes it from them$/,
    ],
    ['it with an old token', { as: 'manual', by, token: 1 }, /has it under another token than was given/],
    ['it with a forged token', { as: 'manual', by, token: 2 ** 53 - 1 }, /has it under another token than was given/],
    ['it for no reason that is one', { as: 'manual', by, reason: '' }, /^reason: expected /],
  ] as const)('is refused to who would give back %s, and changes nothing', async ([_, wrong, said], { world }) => {
    await takeLane(ordersOn(world), order());
    expect((await refusal(world, () => releaseLane(ordersOn(world), wrong))).message).toMatch(said);
  });

  it('is refused where nobody has it, whether somebody ever had', async ({ world }) => {
    const mine = { as: 'manual', by };
    const never = await refusal(world, () => releaseLane(ordersOn(world), mine));
    expect(never.message).toBe('lane "publish" is owned by nobody, so manual of ann@desk has nothing to give back');
    await takeLane(ordersOn(world), order('cron'));
    await releaseLane(ordersOn(world), { as: 'cron', by });
    const over = await refusal(world, () => releaseLane(ordersOn(world), mine));
    expect(over.message).toMatch(/ has nothing to give back; the last was cron of ann@desk, until 2\S+Z$/);
  });
});
