// What is seen of an upstream's limits: sizes and who says so, what counts now and what only did, who holds and who waits.

import { describe, expect } from 'vitest';
import { defineUpstream } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { BY_AGENT, COUNT, limit, limitedUpstream, SLOTS, withLimits } from './limited-upstream.ts';

describe('an upstream', () => {
  it('of which nobody has heard has no limits, and is not made by a look', async ({ world }) => {
    const { look } = await limitedUpstream(world);
    expect(await look()).toMatchObject({
      upstream: 'forum',
      limits: [],
      hold: null,
      waiting: [],
      drift: [],
      unused: [],
    });
    expect(await world.redis.exists(world.keys.limits('forum'))).toBe(0);
  });

  it('that no pod runs yet has the limits of the folder', async ({ world }) => {
    const { look } = await limitedUpstream(world, withLimits(defineUpstream({ name: 'forum' }), SLOTS));
    expect((await look()).limits).toMatchObject([
      { limit: 'concurrent', size: 3, definedSize: 3, inUse: 0, override: null },
    ]);
  });

  it('whose pods run without a limit of the folder does not have it: it is not deployed', async ({ world }) => {
    const limited = await limitedUpstream(world, withLimits(defineUpstream({ name: 'forum' }), SLOTS));
    await limited.say('p1', [COUNT]);
    expect((await limited.look()).limits.map(({ limit }) => limit)).toEqual(['per-1m']);
  });

  it('shows who holds what, of each limit by lane, of slots by pod too', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [SLOTS, COUNT]);
    await limited.hold({ 'publish|p1': 2, 'collect|p|2': 1 });
    await limited.use('per-1m', { publish: 40, collect: 2 }, 30_000);
    const { limits } = await limited.look();
    const [slots, count] = limits.sort((a, b) => a.limit.localeCompare(b.limit));
    expect(slots).toMatchObject({ inUse: 3, size: 3, freesAt: null });
    expect(slots?.holders).toEqual([
      { lane: 'publish', pod: 'p1', count: 2 },
      { lane: 'collect', pod: 'p|2', count: 1 },
    ]);
    expect(count).toMatchObject({ inUse: 42, size: 60, freesAt: limited.nowAt + 30_000, holders: [] });
    expect(count?.byLane).toEqual([
      { lane: 'publish', count: 40 },
      { lane: 'collect', count: 2 },
    ]);
  });

  it('counts what counts now; without the instants it would count what has ended (twin)', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [SLOTS, COUNT]);
    await limited.hold({ 'publish|p1': 2 }, -1);
    await limited.hold({ 'collect|p1': 1 });
    await limited.use('per-1m', { publish: 40 }, -1);
    await limited.use('per-1m', { publish: 2 });
    const { limits } = await limited.look();
    const used = await world.redis.hmget(world.keys.limits('forum'), 'used:concurrent', 'used:per-1m');
    expect(used, 'what is recorded').toEqual(['3', '42']);
    expect(limits.map(({ limit, inUse, byLane }) => [limit, inUse, byLane]).sort()).toEqual([
      ['concurrent', 1, [{ lane: 'collect', count: 1 }]],
      ['per-1m', 2, [{ lane: 'publish', count: 2 }]],
    ]);
  });

  it('by agent shows the fullest, or the one who is asked for', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [BY_AGENT]);
    await limited.use(`${BY_AGENT.name}:a01`, { publish: 1 });
    await limited.use(`${BY_AGENT.name}:a02`, { publish: 2 });
    await limited.use(`${BY_AGENT.name}:a03`, { publish: 9 }, -1);
    const [fullest] = (await limited.look()).limits;
    expect(fullest).toMatchObject({ byAgent: true, agent: 'a02', inUse: 2, byLane: [{ lane: 'publish', count: 2 }] });
    expect((await limited.look('a01')).limits).toMatchObject([{ agent: 'a01', inUse: 1, size: 2 }]);
    expect((await limited.look('a09')).limits).toMatchObject([{ agent: 'a09', inUse: 0 }]);
  });

  it('shows who waits in line, a hold and a loss, while they stand', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [SLOTS]);
    await limited.wait('late|p1', 1_000);
    await limited.wait('early|p2', 9_000, 3);
    await limited.wait('gone|p2', 20_000, 3, -1);
    await limited.wait('content|p2', 20_000, 0);
    const held = JSON.stringify({ reason: '429', who: 'p1', at: limited.nowAt });
    await limited.set({ hold: limited.nowAt + 60_000, held, closed: limited.nowAt + 5_000 });
    const seen = await limited.look();
    expect(seen.waiting).toEqual([
      { lane: 'early', pod: 'p2', want: 3, sinceAt: limited.nowAt - 9_000, place: 1 },
      { lane: 'late', pod: 'p1', want: 1, sinceAt: limited.nowAt - 1_000, place: 2 },
    ]);
    expect(seen.hold).toEqual({ untilAt: limited.nowAt + 60_000, who: 'p1', reason: '429' });
    expect(seen.closedUntilAt).toBe(limited.nowAt + 5_000);
    await limited.set({ hold: limited.nowAt - 1, closed: limited.nowAt - 1 });
    expect(await limited.look()).toMatchObject({ hold: null, closedUntilAt: null });
  });

  it('shows where pods differ, the stricter first, and forgets who has not said so for a minute', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('b', [SLOTS, COUNT]);
    await limited.say('a', [limit('concurrent', 2), COUNT]);
    await limited.say('c', [SLOTS]);
    await limited.say('dead', [limit('concurrent', 1)], 61_000);
    const { drift, limits } = await limited.look();
    expect(drift.sort((a, b) => a.limit.localeCompare(b.limit))).toEqual([
      {
        limit: 'concurrent',
        sizes: [
          { size: 2, pods: ['a'] },
          { size: 3, pods: ['b', 'c'] },
        ],
      },
      {
        limit: 'per-1m',
        sizes: [
          { size: 60, pods: ['a', 'b'] },
          { size: null, pods: ['c'] },
        ],
      },
    ]);
    // What the pods agreed on is theirs to say: here the dead one's is still in it.
    expect(limits.find(({ limit: name }) => name === 'concurrent')).toMatchObject({ size: 1 });
  });

  it('takes a look at thousands of uses, wants and agents and stays short', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [COUNT, BY_AGENT]);
    await limited.use('per-1m', { publish: 5 });
    const many = Array.from({ length: 3_000 }, (_, index) => index);
    await limited.set(Object.fromEntries(many.map((n) => [`used:${BY_AGENT.name}:a${n}`, 1])));
    await limited.set(Object.fromEntries(many.map((n) => [`n:per-1m|other|${n}`, 1])));
    for (const n of many.slice(0, 1_500)) await world.redis.zadd(world.keys.limitWaiting('forum'), n, `lane|p${n}`);
    await limited.set(
      Object.fromEntries(many.map((n) => [`want:lane|p${n}`, `1 0 1 ${limited.nowAt + 60_000} 0 0 0`])),
    );
    const seen = await limited.look();
    expect(seen.waiting).toHaveLength(1_000);
    expect(seen.limits.find(({ limit: name }) => name === 'per-1m')).toMatchObject({ inUse: 5 });
  });
});
