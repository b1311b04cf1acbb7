// A term that runs out is told also where nobody asks for it, and once.

import { expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { takeLane } from '../../src/path/owner-orders.ts';
import { createSingleLocks } from '../../src/store/ownership/locks-single.ts';
import { RETRYING } from '../path/looking.ts';
import { journalOf } from '../store/ownership/suite.ts';
import { it } from '../support/world.ts';

it('the end of a term is in the journal within a beat, once, whichever pods look', async ({ world }) => {
  const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
  const worker = handle(lane, { run: () => null });
  await Promise.all([world.pod([worker]), world.pod([worker])]);
  const locks = createSingleLocks(world);
  await takeLane({ locks, lane, lanes: [] }, { as: 'manual', by: 'ann@desk', reason: 'backfill', for: '1s' });
  const told = async () => {
    const entries = await journalOf(world.redis, world.keys, 'publish');
    return entries.filter(({ what }) => what === 'lane.expired');
  };
  await vi.waitFor(async () => expect(await told()).toHaveLength(1), RETRYING);
  expect(await told()).toMatchObject([
    { as: 'manual', by: 'ann@desk', reason: 'backfill', lanes: ['publish'], isHold: false },
  ]);
  expect(await world.redis.hget(world.keys.ownerLanes({ tag: 'publish', name: 'publish' }), 'publish')).toBe('park');
});

it('a lane that Redis forgot is known to its owners again', async ({ world }) => {
  const lane = defineLane({ name: 'publish', ownership: 'exclusive', displaced: 'drain' });
  const known = world.keys.ownerLanes({ tag: 'publish', name: 'publish' });
  await world.pod([handle(lane, { run: () => null })]);
  const isKnown = () =>
    vi.waitFor(async () => expect(await world.redis.hgetall(known)).toEqual({ publish: 'drain' }), RETRYING);
  await isKnown();
  await world.redis.del(known);
  await isKnown();
});
