// Why a job waits when its upstream's limits are why: which is full, who holds it, until when, and behind whom.

import { describe, expect } from 'vitest';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { explainJob } from '../../src/path/inspect.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { ownUses } from '../store/own-uses.ts';
import { it, type World } from '../support/world.ts';
import { BY_AGENT, COUNT, type Limited, limit, limitedUpstream, SLOTS, withLimits } from './limited-upstream.ts';

const lane = defineLane({ name: 'publish', upstream: withLimits(defineUpstream({ name: 'forum' }), SLOTS, BY_AGENT) });

async function waiting(
  world: World,
  count = 1,
): Promise<{ forum: Limited; id: string; why: (agent?: string | null) => Promise<object> }> {
  const forum = await limitedUpstream(world, lane.upstream);
  const producer = await world.producer();
  let id = '';
  for (let index = 0; index < count; index++) id = (await producer.add(lane, null, { agent: 'a01' })).id;
  const why = (agent?: string | null) =>
    explainJob(world.queue(lane), lane, id, 2, async () => ({ limits: await forum.look(agent) }));
  return { forum, id, why };
}

describe('a job whose upstream is at its limit', () => {
  it('waits at the gate limit, and tells use, size, holders and its place', async ({ world }) => {
    const { forum, why } = await waiting(world, 3);
    await forum.say('p1', [SLOTS, COUNT]);
    await forum.hold({ 'publish|p1': 2, 'collect|p2': 1 });
    await forum.use('per-1m', { publish: 5 });
    await forum.wait('collect|p2', 9_000);
    await forum.wait('publish|p1', 1_000);
    expect(await why()).toMatchObject({
      state: 'waiting',
      gate: 'limit',
      untilAt: null,
      place: 3,
      because:
        '3 of 3 concurrent are in use (publish on p1 2, collect on p2 1); 2 ahead of it in its lane; ' +
        'lanes that wait before its own: collect',
      limit: {
        upstream: 'forum',
        limits: [{ limit: 'concurrent', inUse: 3, size: 3, holders: [{ lane: 'publish', pod: 'p1', count: 2 }, {}] }],
        hold: null,
        lanesBefore: ['collect'],
      },
    });
  });

  it('with room in every limit does not wait for them (twin)', async ({ world }) => {
    const { forum, why } = await waiting(world);
    await forum.say('p1', [SLOTS, COUNT]);
    await forum.hold({ 'publish|p1': 2 });
    const told = await why();
    expect(told).toMatchObject({ gate: null, because: '0 of 16 slots of its 2 pods are taken, 0 ahead of it' });
    expect(told).not.toHaveProperty('limit');
  });

  it('waits at it no longer when an order makes room', async ({ world }) => {
    const { forum, why } = await waiting(world);
    await forum.say('p1', [SLOTS]);
    await forum.hold({ 'publish|p1': 3 });
    expect(await why()).toMatchObject({ gate: 'limit' });
    const order = { size: 4, who: 'ann', reason: 'r', at: forum.nowAt, until: null };
    await forum.set({ 'set:concurrent': JSON.stringify(order) });
    expect(await why()).toMatchObject({ gate: null });
  });

  it('is told until when there is a hold or a loss, by whom and why', async ({ world }) => {
    const { forum, why } = await waiting(world);
    await forum.say('p1', [SLOTS]);
    const held = JSON.stringify({ reason: '429 from POST /posts', who: 'p1', at: forum.nowAt });
    await forum.set({ hold: forum.nowAt + 90_000, held });
    expect(await why()).toMatchObject({
      gate: 'limit',
      untilAt: forum.nowAt + 90_000,
      because: expect.stringMatching(
        /^nobody is let through for \S+ more, told by p1: 429 from POST \/posts \(to end it: lanekeeper limits forum reset hold --reason \.\.\.\); 0 /,
      ),
      limit: { limits: [], hold: { untilAt: forum.nowAt + 90_000 } },
    });
    await forum.set({ hold: 0, closed: forum.nowAt + 50_000 });
    expect(await why()).toMatchObject({
      untilAt: forum.nowAt + 50_000,
      because: expect.stringMatching(
        /^what was in use is not known \(a first start, a Redis that lost it, .*\): nothing is granted for \S+ more/,
      ),
    });
  });

  it('whose lane needs more at once than there is never runs, and is told so with what to do', async ({ world }) => {
    const { forum, id } = await waiting(world);
    await forum.say('p1', [SLOTS]);
    const whyWith = (requests: number) =>
      explainJob(world.queue(lane), { ...lane, requests }, id, 2, async () => ({ limits: await forum.look() }));
    expect(await whyWith(4)).toMatchObject({
      gate: 'limit',
      untilAt: null,
      because:
        'lane publish needs 4 concurrent at once (its requests), and 3 is all there is: it never runs; ' +
        'raise the limit, or lower requests of the lane; 0 ahead of it in its lane',
    });
    expect(await whyWith(3)).toMatchObject({ gate: null });
  });

  it('by agent waits when its own agent is full, not when another is, nor when it acts as none', async ({ world }) => {
    const { forum, why } = await waiting(world);
    await forum.say('p1', [BY_AGENT]);
    const own = await ownUses(world, [BY_AGENT], 'forum');
    const use = (agent: string, id: string) => ({ limit: BY_AGENT, agent, id: `publish|${id}|p1|0`, amount: 1 });
    for (const one of [use('a01', '1'), use('a01', '2'), use('a02', '3')]) await own.take([one]);
    for (const agent of ['a02', null]) expect(await why(agent), String(agent)).toMatchObject({ gate: null });
    expect(await why('a01')).toMatchObject({
      gate: 'limit',
      because: expect.stringContaining('2 of 2 per-1h-by-agent are in use of agent a01 (publish on p1 2)'),
      limit: { limits: [{ agent: 'a01', freesAt: expect.any(Number) }] },
    });
  });

  it('whose lane waits for more tokens than are left is told so', async ({ world }) => {
    const { forum, why } = await waiting(world);
    await forum.say('p1', [limit('tokens', 1_000, 60_000)]);
    const own = await ownUses(world, [limit('tokens', 1_000, 60_000)], 'forum');
    const use = (id: string, amount: number) => ({
      limit: limit('tokens', 1_000, 60_000),
      id: `publish|${id}|p1|0`,
      amount,
    });
    await own.take([use('1', 950)]);
    await own.settle([{ ...use('1', 950), what: 'settle' }]);
    await own.take([use('2', 40)]);
    await forum.wait('publish|p1', 1_000);
    expect(await why()).toMatchObject({
      gate: 'limit',
      because: '990 of 1000 tokens-per-1m are in use (40 under way: publish on p1 40); 0 ahead of it in its lane',
    });
  });

  it('that was sent away is told what it was then, and how it stands now', async ({ world }) => {
    const tokens = limit('tokens', 1_000, 60_000);
    const { forum, why, id } = await waiting(world);
    const own = await ownUses(world, [tokens, SLOTS], 'forum');
    await own.take([{ limit: tokens, id: 'publish|1|p1|0', amount: 600 }]);
    const queue = world.queue(lane);
    await world.redis.lrem(queue.backend.toKey('wait'), 0, id);
    await world.redis.zadd(queue.backend.toKey('delayed'), (forum.nowAt + 30_000) * 4_096, id);
    const parked = { gate: 'limit', until: forum.nowAt + 30_000, reason: 'it was full' };
    const fields = Object.entries(parked).map(([field, value]) => [JOB_FIELDS[field as keyof typeof parked], value]);
    await world.redis.hset(queue.jobKey(id), Object.fromEntries(fields));
    expect(await why()).toMatchObject({
      state: 'parked',
      gate: 'limit',
      untilAt: forum.nowAt + 30_000,
      because: 'it was full; now 600 of 1000 tokens-per-1m are in use (publish on p1 600)',
      limit: { limits: [{ limit: tokens.name, inUse: 600, underWay: 600 }] },
    });
  });
});
