// What is seen of an upstream's limits: sizes and who says so, what counts now and what only did, who holds and who waits.

import { describe, expect } from 'vitest';
import { defineUpstream } from '../../src/index.ts';
import { ownUses } from '../store/own-uses.ts';
import { it } from '../support/world.ts';
import { BY_AGENT, COUNT, limit, limitedUpstream, SLOTS, withLimits } from './limited-upstream.ts';

const TOKENS = limit('tokens', 1_000, 60_000);
const AGENT_SLOTS = limit('concurrent', 2, 0, true);

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

  it('by agent shows the fullest, the others after it, or the one who is asked for', async ({ world }) => {
    const limited = await limitedUpstream(world);
    const own = await ownUses(world, [BY_AGENT], 'forum');
    const use = (agent: string, id: string) => ({ limit: BY_AGENT, agent, id: `publish|${id}|p1|0`, amount: 1 });
    for (const [agent, id] of ['a01 1', 'a02 2', 'a02 3', 'a03 4'].map((text) => text.split(' ') as [string, string])) {
      expect(await own.take([use(agent, id)])).toEqual({ kind: 'taken' });
    }
    await own.settle([{ ...use('a02', '2'), what: 'settle' }]);
    await own.shift(BY_AGENT, 2 * BY_AGENT.perMs, 'a03');
    expect(await own.sum(BY_AGENT, 'a03'), 'what is recorded').toBe(1);
    const [seen] = (await limited.look()).limits;
    const byLane = [{ lane: 'publish', count: 1 }];
    const holders = [{ lane: 'publish', pod: 'p1', count: 1 }];
    const fullest = { agent: 'a02', inUse: 2, underWay: 1, freesAt: expect.any(Number), byLane, holders };
    expect(seen).toMatchObject({ byAgent: true, size: 2, ...fullest });
    expect(seen?.agents).toEqual([fullest, { ...fullest, agent: 'a01', inUse: 1 }]);
    expect((await limited.look('a01')).limits).toMatchObject([{ agent: 'a01', inUse: 1, size: 2 }]);
    expect((await limited.look('a09')).limits).toMatchObject([{ agent: 'a09', inUse: 0, agents: [] }]);
  });

  it('shows tokens: all that counts, what of it is under way, and not what has ended', async ({ world }) => {
    const limited = await limitedUpstream(world);
    const own = await ownUses(world, [TOKENS], 'forum');
    const use = (id: string, amount: number) => ({ limit: TOKENS, id: `${id}|p1|0`, amount });
    for (const old of [use('old|1', 100), use('old|2', 50)]) await own.take([old]);
    await own.settle([{ ...use('old|2', 40), what: 'settle' }]);
    await own.shift(TOKENS, 10 * TOKENS.perMs);
    // A job's id may look like anything.
    const uses = [use('publish|j|1', 300), use('publish|2', 30), use('collect|3', 200), use('collect|4', 200)];
    await own.take(uses.slice(0, 3));
    await own.take(uses.slice(3));
    await own.settle([{ ...use('collect|4', 150), what: 'settle' }]);
    const [seen] = (await limited.look()).limits;
    expect(seen).toMatchObject({
      limit: TOKENS.name,
      agent: null,
      inUse: 680,
      underWay: 530,
      freesAt: expect.any(Number),
      byLane: [
        { lane: 'publish', count: 330 },
        { lane: 'collect', count: 200 },
      ],
      holders: [{ lane: 'publish', pod: 'p1', count: 330 }, { pod: 'p1' }],
      agents: [],
    });
    expect((seen?.freesAt ?? 0) - limited.nowAt).toBeGreaterThan(TOKENS.perMs / 2);
    await own.set({ [`set:${TOKENS.name}`]: JSON.stringify({ size: 700, who: 'a', reason: 'r', at: 0, until: null }) });
    expect((await limited.look()).limits).toMatchObject([{ size: 700, definedSize: 1_000 }]);
  });

  it('of a thousand agents looks at the hundred that used something last, and forgets who uses nothing', async ({
    world,
  }) => {
    const limited = await limitedUpstream(world);
    const own = await ownUses(world, [AGENT_SLOTS], 'forum');
    const register = world.keys.limitAgents('forum');
    const use = (agent: string) => ({ limit: AGENT_SLOTS, agent, id: `publish|${agent}|p1|0`, amount: 1 });
    const many = Array.from({ length: 1_000 }, (_, index) => use(`a${index}`));
    for (const [index, one] of many.entries()) await own.take([one], index < 500 ? 1_000 : 15_000 + 10 * index);
    const { agents = [], ...fullest } = (await limited.look()).limits[0] ?? {};
    expect(fullest).toMatchObject({ inUse: 1, underWay: 1, freesAt: null });
    const late = many.slice(-100).map(({ agent }) => agent);
    expect(agents.map(({ agent }) => agent).sort()).toEqual(late.sort());
    expect(await world.redis.pttl(register)).toBeGreaterThan(60_000);
    // What a take finds of those that ended, it drops.
    for (const { agent } of many.slice(0, 500)) await world.redis.zadd(register, limited.nowAt - 1, agent);
    await own.take([use('b1')]);
    expect(await world.redis.zcard(register)).toBe(501);
  });

  it('shows agents whose use began to count when it was settled; without that they are not found (twin)', async ({
    world,
  }) => {
    const limited = await limitedUpstream(world);
    const own = await ownUses(world, [BY_AGENT], 'forum');
    const use = { limit: BY_AGENT, agent: 'a01', id: 'publish|1|p1|0', amount: 1 };
    await own.take([use], 0);
    await own.shift(BY_AGENT, BY_AGENT.perMs, 'a01');
    await world.redis.del(world.keys.limitAgents('forum'));
    expect((await limited.look()).limits).toMatchObject([{ agent: null, inUse: 0 }]);
    await own.settle([{ ...use, what: 'settle' }]);
    expect((await limited.look()).limits).toMatchObject([{ agent: 'a01', inUse: 1, underWay: 0 }]);
  });

  it('kept by Bottleneck shows who holds its slots, by its leases', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [SLOTS]);
    const leases = `${world.keys.bottleneck('forum', 'slots')}_job_expirations`;
    const [soon, past] = [limited.nowAt + 60_000, limited.nowAt - 1];
    await world.redis.zadd(leases, soon, 'x1', soon, 'x2', past, 'x3', 0, 'x4', soon, 'ready');
    const lane = { x1: 'publish|p1', x2: 'collect|p2', x3: 'publish|p1' };
    await world.redis.hset(world.keys.bottleneckHolders('forum'), lane);
    expect((await limited.look()).limits).toMatchObject([
      {
        inUse: 3,
        byLane: [
          { lane: 'collect', count: 1 },
          { lane: 'publish', count: 1 },
        ],
        holders: [{ lane: 'collect', pod: 'p2', count: 1 }, { pod: 'p1' }],
      },
    ]);
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

  it('takes a look at thousands of uses and wants and stays short', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('p1', [COUNT]);
    await limited.use('per-1m', { publish: 5 });
    const many = Array.from({ length: 3_000 }, (_, index) => index);
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
