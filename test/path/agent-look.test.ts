// What is seen of an upstream's agents: who may act when and why, who acts on what, and who waits for whom.

import { describe, expect, vi } from 'vitest';
import { addAgent, markAgent, removeAgent } from '../../src/path/agent-orders.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { it } from '../support/world.ts';
import { forumOf, HOUR } from './forum.ts';
import { RETRYING } from './looking.ts';

describe('an upstream', () => {
  it('of which nobody has heard has no agents but those its definition names, and is not made by a look', async ({
    world,
  }) => {
    const { look } = await forumOf(world, ['a1', 'a2']);
    expect(await look()).toMatchObject({
      upstream: 'forum',
      agents: [],
      lanes: [],
      absent: [
        { agent: 'a1', waiting: 0, isRemoved: false },
        { agent: 'a2', waiting: 0, isRemoved: false },
      ],
      closedUntilAt: null,
      pods: 0,
    });
    expect(await world.redis.keys(`${world.prefix}:*`)).toEqual([]);
  });

  it('without any agents says so', async ({ world }) => {
    const { look, register } = await forumOf(world, []);
    await register();
    expect(await look()).toMatchObject({ agents: [], absent: [], lanes: [{ lane: 'publish' }, { lane: 'reply' }] });
  });

  it('shows its agents in the order people count, what each costs, and how many look after them', async ({ world }) => {
    const { look, register, calendar } = await forumOf(world);
    await register();
    await calendar.beat(['publish'], []);
    const { agents, lanes, pods, absent } = await look();
    expect(agents.map(({ agent }) => agent)).toEqual(['a1', 'a2', 'a10']);
    expect(lanes).toEqual([
      { lane: 'publish', cooldownMs: 2 * HOUR, waiting: 0 },
      { lane: 'reply', cooldownMs: 600_000, waiting: 0 },
    ]);
    expect({ pods, absent }).toEqual({ pods: 1, absent: [] });
  });

  it('whose state was lost says until when nobody acts', async ({ world }) => {
    const { look, register, nowAt } = await forumOf(world);
    await register();
    await world.redis.hset(`${world.keys.upstream('forum')}agent-state`, 'closed', nowAt + HOUR + 0.25);
    expect((await look()).closedUntilAt).toBe(nowAt + HOUR + 1);
    await world.redis.hset(`${world.keys.upstream('forum')}agent-state`, 'closed', nowAt - 1);
    expect((await look()).closedUntilAt).toBeNull();
  });
});

describe('an agent', () => {
  it('is open, cooling with who says so, or acting on a job', async ({ world }) => {
    const { look, register, orders, acts, nowAt } = await forumOf(world);
    await register();
    await markAgent(orders, 'a2', nowAt + HOUR, 'banned');
    await acts('a10', 'publish', 'job-1');
    const key = world.keys.agent('forum', 'a10');
    await world.redis.hset(key, { acts: 7, ok: '0.840', last: `${nowAt - HOUR}.250`, source: 'policy', reason: '' });
    const [open, cooling, acting] = (await look()).agents;
    expect(open).toMatchObject({ agent: 'a1', state: 'open', lastAt: null, acts: 0, success: null, acting: null });
    expect(open?.nextAt).toBeLessThanOrEqual((await look()).seenAt);
    expect(cooling).toMatchObject({ state: 'cooling', nextAt: nowAt + HOUR, source: 'operator', reason: 'banned' });
    expect(acting).toMatchObject({
      state: 'acting',
      acting: { lane: 'publish', job: 'job-1', pod: 'p1', sinceAt: expect.any(Number) },
      lastAt: nowAt - HOUR + 1,
      acts: 7,
      success: 0.84,
      source: 'policy',
      reason: null,
    });
  });

  it('of whom nothing is known any more is not taken for open', async ({ world }) => {
    const { look, register } = await forumOf(world, ['a1']);
    await register();
    await world.redis.del(world.keys.agent('forum', 'a1'));
    expect((await look()).agents).toMatchObject([{ agent: 'a1', state: 'cooling', nextAt: null }]);
  });

  it('keeps who registered it and what it brought, to the last digit', async ({ world }) => {
    const { look, orders } = await forumOf(world, []);
    const meta = { id: 12_345_678_901_234_567n.toString(), big: 9_007_199_254_740_991, none: [], of: { a: [1] } };
    await addAgent(orders, 'svc@1', meta);
    const [seen] = (await look()).agents;
    expect(seen).toMatchObject({ agent: 'svc@1', addedBy: 'ann@desk', addedAt: expect.any(Number) });
    expect(seen?.meta).toEqual(meta);
  });

  it('says when it was heard of last, and since when it is there; of one that a definition names nobody says so', async ({
    world,
  }) => {
    const { look, orders, register } = await forumOf(world, ['a1']);
    await register();
    const heard = async () => (await look()).agents.map(({ agent, addedAt, heardAt }) => [agent, addedAt, heardAt]);
    await addAgent(orders, 'svc', undefined);
    const [ours, first] = await heard();
    expect(ours).toEqual(['a1', expect.any(Number), null]);
    expect(first?.[2]).toBe(first?.[1]);
    await vi.waitFor(async () => expect(await redisNow(world.redis)).toBeGreaterThan(Number(first?.[2])), RETRYING);
    await addAgent(orders, 'svc', undefined);
    const [, again] = await heard();
    expect(again?.[1]).toBe(first?.[1]);
    expect(again?.[2]).toBeGreaterThan(first?.[1] as number);
  });
});

describe('jobs that wait', () => {
  it('are counted for the agent they name over all lanes, and by lane for any', async ({ world }) => {
    const { look, register, publish, reply } = await forumOf(world);
    await register();
    const producer = await world.producer();
    await producer.add(publish, null, { agent: 'a1' });
    await producer.add(reply, null, { agent: 'a1' });
    await producer.add(reply, null, { agent: 'a2' });
    for (let n = 0; n < 3; n++) await producer.add(publish, null);
    const { agents, lanes } = await look();
    expect(agents.map(({ agent, waiting }) => [agent, waiting])).toEqual([
      ['a1', 2],
      ['a2', 1],
      ['a10', 0],
    ]);
    expect(lanes.map(({ lane, waiting }) => [lane, waiting])).toEqual([
      ['publish', 3],
      ['reply', 0],
    ]);
  });

  it('are counted in a lane that no pod has run yet, when the folder names it (twin: not without)', async ({
    world,
  }) => {
    const { look, publish } = await forumOf(world);
    await (await world.producer()).add(publish, null);
    expect((await look(['publish'])).lanes).toEqual([{ lane: 'publish', cooldownMs: null, waiting: 1 }]);
    expect((await look()).lanes).toEqual([]);
  });

  it('for one that was removed are told; one that nobody misses is not', async ({ world }) => {
    const { look, register, orders, publish } = await forumOf(world);
    await register();
    await (await world.producer()).add(publish, null, { agent: 'a1' });
    await removeAgent(orders, 'a1');
    await removeAgent(orders, 'a2');
    const { agents, absent } = await look();
    expect(agents.map(({ agent }) => agent)).toEqual(['a10']);
    expect(absent).toEqual([{ agent: 'a1', waiting: 1, isRemoved: true }]);
  });

  it('of five hundred agents are each counted right', async ({ world }) => {
    const names = Array.from({ length: 500 }, (_, n) => `a${n}`);
    const { look, register, publish } = await forumOf(world, names);
    await register();
    const items = names.filter((_, n) => n % 7 === 0).map((agent) => ({ payload: null, agent }));
    await (await world.producer()).addMany(publish, items);
    const { agents } = await look();
    expect(agents.map(({ agent }) => agent)).toEqual(names);
    expect(agents.map(({ waiting }) => waiting)).toEqual(names.map((_, n) => (n % 7 === 0 ? 1 : 0)));
  });
});
