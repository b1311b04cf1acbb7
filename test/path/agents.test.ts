// Lanes whose jobs act as agents: nobody acts early, no window that work waits for is left out, and who goes next is the line's to say.

import { describe, expect, vi } from 'vitest';
import { handle, park } from '../../src/index.ts';
import { AgentHold } from '../../src/path/agent-hold.ts';
import { clearAgent, markAgent } from '../../src/path/agent-orders.ts';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { it } from '../support/world.ts';
import { act, gapsOf, lanesOf, serveActs } from './acting.ts';
import { forumOf } from './forum.ts';
import { gate, plainQueue, RETRYING, untilState } from './looking.ts';

describe('a lane with agents', () => {
  it('acts as each in turn, never early, and as the one that was named', async ({ world }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a', 'b', 'c', 'd'], '200ms');
    await Promise.all([world.pod([act(lane)]), world.pod([act(lane)])]);
    const producer = await world.producer();
    const named = new Map<string, string>();
    for (let n = 0; n < 40; n++) {
      const agent = n % 2 ? undefined : ['a', 'b'][(n / 2) % 2];
      const { id, state } = await producer.add(lane, null, { agent });
      expect(state).toBe('parked');
      if (agent) named.set(id, agent);
    }
    await vi.waitFor(() => expect(acts).toHaveLength(40), { ...RETRYING, timeout: 20_000 });
    for (const { job, agent } of acts) if (named.has(job)) expect(agent).toBe(named.get(job));
    expect(Math.min(...gapsOf(acts))).toBeGreaterThanOrEqual(200);
    expect(new Set(acts.map(({ agent }) => agent))).toEqual(new Set(['a', 'b', 'c', 'd']));
  });

  it('twin: one that does not wait for the window it claimed acts early', async ({ world }) => {
    const opens = vi.spyOn(AgentHold.prototype, 'opens').mockResolvedValue(0);
    world.defer(() => opens.mockRestore());
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '200ms');
    await world.pod([act(lane)]);
    await (await world.producer()).addMany(lane, Array(5).fill({ payload: null }));
    await vi.waitFor(() => expect(acts).toHaveLength(5), RETRYING);
    expect(Math.min(...gapsOf(acts))).toBeLessThan(200);
  });

  it('takes the jobs of plain producers into line, by priority', async ({ world }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '50ms');
    const plain = plainQueue(world, lane);
    for (const [jobId, priority] of [
      ['late', 9],
      ['soon', 1],
      ['first', 0],
    ] as const) {
      await plain.add('x', { lk: 1, payload: jobId, agent: 'a' }, { jobId, priority });
    }
    await world.pod([act(lane)]);
    await vi.waitFor(() => expect(acts.map(({ job }) => job)).toEqual(['first', 'soon', 'late']), RETRYING);
  });

  it('lets a top job take the next window past those that wait, and a cancelled one leaves no hole', async ({
    world,
  }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '100ms');
    await world.pod([act(lane)]);
    const producer = await world.producer();
    await producer.addMany(
      lane,
      Array.from({ length: 50 }, () => ({ payload: null, priority: 5 })),
    );
    await vi.waitFor(() => expect(acts.length).toBeGreaterThan(1), RETRYING);
    const queue = world.queue(lane);
    const [next] = await world.redis.zrange(world.keys.line(lane), '0', '0');
    await queue.backend.remove(next as string, false);
    const seen = acts.length;
    const { id } = await producer.add(lane, null, { priority: 1 });
    await vi.waitFor(() => expect(acts.map(({ job }) => job)).toContain(id), RETRYING);
    expect(acts.findIndex(({ job }) => job === id) - seen).toBeLessThanOrEqual(1);
    expect(acts.map(({ job }) => job)).not.toContain(next);
  });

  it.for([
    ['a job that came after the claim take the window, if it goes first', true],
    ['twin: it wait when nobody looks again', false],
  ] as const)('lets %s', async ([, looks], { world }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '500ms');
    const producer = await world.producer();
    const first = await producer.add(lane, null, { priority: 5 });
    const second = await producer.add(lane, null, { priority: 5 });
    // With the second in hand, which has long to wait for its start, a job comes that is more urgent.
    const { claim, sent } = Calendar.prototype;
    let top: Promise<{ id: string }> | undefined;
    vi.spyOn(Calendar.prototype, 'claim').mockImplementation(async function (this: Calendar, ...given) {
      const claimed = await claim.apply(this, given);
      if (claimed.kind !== 'job' || claimed.job.id !== second.id || top) return claimed;
      top = producer.add(lane, null, { priority: 1 });
      await top;
      return { ...claimed, claim: { ...claimed.claim, startsInMs: 500 } };
    });
    if (!looks)
      vi.spyOn(Calendar.prototype, 'sent').mockImplementation(async function (this: Calendar, agent, token) {
        return sent.call(this, agent, token, false);
      });
    world.defer(() => vi.restoreAllMocks());
    await world.pod([act(lane)]);
    await vi.waitFor(() => expect(acts).toHaveLength(3), RETRYING);
    const topId = (await top)?.id;
    const order = looks ? [first.id, topId, second.id] : [first.id, second.id, topId];
    expect(acts.map(({ job }) => job)).toEqual(order);
    expect(Math.min(...gapsOf(acts))).toBeGreaterThanOrEqual(499);
    expect(await untilState(world.queue(lane), second.id, 'done')).toMatchObject({ attempt: 1 });
  });

  it('says that something goes out only when something does, however long the handler takes before', async ({
    world,
  }) => {
    const { url, acts } = await serveActs(world, 300);
    const lane = lanesOf(url, ['a'], '1h');
    const { opened, open } = gate();
    await world.pod([
      handle(lane, {
        async run(job, ctx) {
          await opened;
          await (await ctx.fetch('/act', { headers: { 'x-agent': String(job.agent), 'x-job': job.id } })).text();
        },
      }),
    ]);
    const said = vi.spyOn(Calendar.prototype, 'sent');
    const unsaid = vi.spyOn(Calendar.prototype, 'unsent');
    world.defer(() => vi.restoreAllMocks());
    const { id } = await (await world.producer()).add(lane, null);
    const held = () => world.redis.hmget(world.keys.agent('forum', 'a'), 'job', 'sent');
    // With the window, and taken back.
    await vi.waitFor(() => expect(unsaid).toHaveBeenCalledTimes(1), RETRYING);
    expect(said).toHaveBeenCalledTimes(1);
    await vi.waitFor(async () => expect(await held()).toEqual([id, null]), RETRYING);
    open();
    await vi.waitFor(() => expect(acts).toHaveLength(1), RETRYING);
    expect(await held()).toEqual([id, '1']);
  });

  it('acts once in an attempt, however many requests it sends', async ({ world }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '1h');
    const { run } = act(lane);
    await world.pod([
      handle(lane, {
        async run(job, ctx) {
          for (let n = 0; n < 3; n++) await run(job, ctx);
        },
      }),
    ]);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(world.queue(lane), id, 'done');
    expect(acts).toHaveLength(3);
    expect(await world.redis.hget(world.keys.agent('forum', 'a'), 'acts')).toBe('1');
  });

  it('finds within 5 s what it was called for by a word that was lost', async ({ world }) => {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '1h');
    await world.pod([act(lane)]);
    const { orders, nowAt } = await forumOf(world, []);
    await vi.waitFor(() => expect(world.redis.hlen(world.keys.agents('forum'))).resolves.toBe(1), RETRYING);
    await markAgent(orders, 'a', nowAt + 3_600_000, 'r');
    await (await world.producer()).add(lane, null);
    const mute = { ...world.keys, agentNotice: () => `${world.prefix}:nobody` };
    await clearAgent({ ...orders, calendar: new Calendar(world.redis, mute, 'forum', 'ann') }, 'a', 'r');
    await vi.waitFor(() => expect(acts).toHaveLength(1), { timeout: 5_000, interval: 20 });
  });

  it('burns no attempt and no window when the handler sends nothing', async ({ world }) => {
    const { url } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '1h');
    let runs = 0;
    await world.pod([
      handle(lane, {
        run: () => (++runs < 3 ? park({ until: Date.now() + 10, reason: 'not yet' }) : 'done'),
      }),
    ]);
    const { id } = await (await world.producer()).add(lane, null);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ attempt: 1 });
  });
});
