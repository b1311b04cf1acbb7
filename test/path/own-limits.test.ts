// Limits by agent, which only a job decides, held by pods and judged by the upstream. Each has a twin without the limit.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle, type Lane } from '../../src/index.ts';
import { HeldPermit } from '../../src/path/held-permit.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import { createSimulator, type SimulatorOptions } from '../../src/simulator/index.ts';
import { ownUses } from '../store/own-uses.ts';
import { it, type World } from '../support/world.ts';
import { knownUpstream } from './known-upstream.ts';
import { limit } from './limited-upstream.ts';
import { gate, RETRYING, untilState } from './looking.ts';

type Run = Parameters<typeof handle>[1]['run'];

/** Stopped after the pods, and before their sockets are counted. */
async function simulator(world: World, options: SimulatorOptions) {
  const sim = createSimulator(options);
  world.defer(() => sim.stop());
  return { sim, url: (await sim.start()).url };
}

async function acts(agent: string | null, ctx: Parameters<Run>[1], requests: number): Promise<void> {
  for (let n = 0; n < requests; n++) {
    const answer = await ctx.fetch('/v1/posts', { headers: { 'x-agent': agent ?? '' } });
    await answer.text();
  }
}

/** 3 agents with `each` jobs apiece, run by two pods. */
async function storm(
  world: World,
  limits: LimitOptions[],
  each: number,
  requests: number,
  behaviour: SimulatorOptions,
) {
  const { sim, url } = await simulator(world, behaviour);
  const lane = defineLane({ name: 'act', upstream: await knownUpstream(world, url, limits), concurrency: 8 });
  // A twin's pods have no limit by agent; whoever adds knows of one.
  const fed = defineLane({ name: 'act', upstream: await knownUpstream(world, url, [{ concurrent: 1, by: 'agent' }]) });
  const producer = await world.producer();
  const agents = ['a01', 'a02', 'a03'];
  await producer.addMany(
    fed,
    Array.from({ length: each * 3 }, (_, n) => ({ payload: n, agent: agents[n % 3] as string })),
  );
  const handler = handle(lane, { run: ({ agent }, ctx) => acts(agent, ctx, requests) });
  for (let n = 0; n < 2; n++) await world.pod([handler]);
  await vi.waitFor(
    async () => {
      const { done = 0, dead = 0 } = await ends(world, lane);
      expect({ done, dead }).toEqual({ done: each * 3, dead: 0 });
    },
    { timeout: 25_000, interval: 50 },
  );
  return sim;
}

async function ends(world: World, lane: Lane) {
  const prefix = `${world.keys.queuePrefix(lane)}:${lane.name}`;
  return { done: await world.redis.zcard(`${prefix}:completed`), dead: await world.redis.zcard(`${prefix}:failed`) };
}

const SLOW: SimulatorOptions = { behaviour: { latency: 30 } };

describe('an agent', () => {
  const SLOTS: LimitOptions = { concurrent: 1, by: 'agent' };

  it('is at the upstream so many times at once, whichever pods act for it', async ({ world }) => {
    const sim = await storm(world, [SLOTS], 6, 2, SLOW);
    const verdict = sim.judge({ limits: [SLOTS] });
    expect(verdict, verdict.convictions[0]?.detail).toMatchObject({ clean: true, summary: { requests: 36 } });
    expect(verdict.summary.maxConcurrent, 'agents do not wait for each other').toBeGreaterThan(1);
  });

  it('without its limit is there more often (twin)', async ({ world }) => {
    expect((await storm(world, [], 6, 2, SLOW)).judge({ limits: [SLOTS] }).clean).toBe(false);
  });

  const COUNT: LimitOptions = { count: 4, per: '600ms', by: 'agent' };

  it('sends so many requests in every interval, the further ones of a job too', async ({ world }) => {
    const sim = await storm(world, [COUNT], 4, 3, { behaviour: { latency: 0 } });
    const verdict = sim.judge({ limits: [COUNT] });
    expect(verdict, verdict.convictions[0]?.detail).toMatchObject({ clean: true, summary: { requests: 36 } });
  });

  it('without its limit sends more (twin)', { retry: 2 }, async ({ world }) => {
    expect((await storm(world, [], 4, 3, { behaviour: { latency: 0 } })).judge({ limits: [COUNT] }).clean).toBe(false);
  });

  it('keeps all its limits together, beside those of everybody', async ({ world }) => {
    const limits = [SLOTS, COUNT, { concurrent: 2 }, { count: 30, per: '1s' }] satisfies LimitOptions[];
    const verdict = (await storm(world, limits, 3, 2, { behaviour: { latency: 10 } })).judge({ limits });
    expect(verdict, verdict.convictions[0]?.detail).toMatchObject({ clean: true, summary: { requests: 18 } });
  });
});

describe('a job that may not act yet', () => {
  it('is parked, says why and until when, and uses no attempt; one without an agent goes on', async ({ world }) => {
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ concurrent: 1, by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream, retry: { attempts: 1 } });
    const held = gate();
    const run = vi.fn(async ({ agent }: { agent: string | null }) => {
      if (agent) await held.opened;
    });
    await world.pod([handle(lane, { run })]);
    const producer = await world.producer();
    const first = await producer.add(lane, 1, { agent: 'a01' });
    await untilState(world.queue(lane), first.id, 'active');
    await vi.waitFor(() => expect(run).toHaveBeenCalledTimes(1), RETRYING);
    const second = await producer.add(lane, 2, { agent: 'a01' });
    const free = await producer.add(lane, 3);
    const parked = await untilState(world.queue(lane), second.id, 'parked');
    expect(parked).toMatchObject({
      gate: 'limit',
      attempt: 1,
      untilAt: expect.any(Number),
      reason: "limit 'concurrent-by-agent' of api: agent a01 uses 1 of 1",
    });
    await untilState(world.queue(lane), free.id, 'done');
    held.open();
    await untilState(world.queue(lane), second.id, 'done');
    const uses = world.keys.limitUses('api', 'concurrent-by-agent', 'a01');
    await vi.waitFor(async () => expect(await world.redis.exists(uses)).toBe(0), RETRYING);
  });

  it('because nothing is known of its limits waits for one interval', async ({ world }) => {
    const upstream = defineUpstream({ name: 'api', limits: [{ count: 5, per: '700ms', by: 'agent' }] });
    const lane = defineLane({ name: 'act', upstream });
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    const events = world.record(pod);
    const { id } = await (await world.producer()).add(lane, 1, { agent: 'a01' });
    await untilState(world.queue(lane), id, 'done');
    expect(events.find(({ name }) => name === 'limit.begun')?.data).toMatchObject({ upstream: 'api', forMs: 700 });
    expect(events.find(({ name }) => name === 'admission.decided')?.data).toMatchObject({
      verdict: 'park',
      gate: 'limit',
      reason: 'api lets nobody through now',
    });
  });
});

describe('what an attempt holds', () => {
  const SLOT = limit('concurrent', 1, 0, true);

  /** One job of an agent, under way until its signal is aborted. */
  async function startOne(world: World) {
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ concurrent: 1, by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream });
    const begun = gate();
    const cut = vi.fn();
    const run: Run = async (_, ctx) => {
      ctx.signal.addEventListener('abort', () => cut(String(ctx.signal.reason)));
      begun.open();
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
    };
    await world.pod([handle(lane, { run })]);
    await (await world.producer()).add(lane, 1, { agent: 'a01' });
    await begun.opened;
    const { keys } = world;
    const own = [keys.limitUses('api', SLOT.name, 'a01'), keys.limitAmounts('api', SLOT.name, 'a01')];
    return { cut, own, uses: own[0] as string };
  }

  it('is named again when all was forgotten', async ({ world }) => {
    const { cut, own, uses } = await startOne(world);
    await world.redis.del(world.keys.limits('api'), ...own);
    await vi.waitFor(async () => expect(await world.redis.zcard(uses)).toBe(1), RETRYING);
    expect(cut).not.toHaveBeenCalled();
  });

  it("is another's when that had it first: the work is cut off", async ({ world }) => {
    const { cut, own } = await startOne(world);
    await world.redis.del(...own);
    const other = await ownUses(world, [SLOT]);
    expect(await other.take([{ limit: SLOT, agent: 'a01', id: 'act|x|y|0', amount: 1 }])).toEqual({ kind: 'taken' });
    await vi.waitFor(() => expect(cut).toHaveBeenCalledTimes(1), RETRYING);
    expect(cut.mock.calls[0]?.[0]).toContain('its concurrent-by-agent ran out');
  });

  it('does not let a request go that would wait for longer than its attempt lives: it parks', async ({ world }) => {
    const { sim, url } = await simulator(world, { behaviour: { latency: 0 } });
    const upstream = await knownUpstream(world, url, [{ count: 1, per: '1h', by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream });
    await world.pod([handle(lane, { run: ({ agent }, ctx) => acts(agent, ctx, 2) })]);
    const { id } = await (await world.producer()).add(lane, 1, { agent: 'a01' });
    const parked = await untilState(world.queue(lane), id, 'parked');
    expect(parked).toMatchObject({ gate: 'limit', attempt: 1 });
    expect(parked.reason).toBe("limit 'per-1h-by-agent' of api: agent a01 uses 1 of 1");
    expect(sim.judge({}).summary.requests).toBe(1);
  });

  it('of a request that was never sent goes back', async ({ world }) => {
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ count: 1, per: '1h', by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream });
    await world.pod([handle(lane, { run: () => 'ran' })]);
    for (let n = 0; n < 3; n++) {
      const { id } = await (await world.producer()).add(lane, n, { agent: 'a01' });
      await untilState(world.queue(lane), id, 'done');
    }
  });
});

describe('an attempt that waits for its agent', () => {
  const LIMITS = [{ concurrent: 2 }, { count: 2, per: '3s', by: 'agent' }] satisfies LimitOptions[];
  const OTHERS = 20;

  /** Two jobs of one agent have used its count, and have more to send; then others come. */
  async function crowd(world: World) {
    const { sim, url } = await simulator(world, { behaviour: { latency: 20 } });
    const lane = defineLane({ name: 'act', upstream: await knownUpstream(world, url, LIMITS), concurrency: 8 });
    await world.pod([handle(lane, { run: ({ agent }, ctx) => acts(agent, ctx, agent === 'a01' ? 2 : 1) })]);
    const producer = await world.producer();
    for (const n of [1, 2]) await producer.add(lane, n, { agent: 'a01' });
    await vi.waitFor(() => expect(sim.judge({}).summary.requests).toBe(2), RETRYING);
    const others = Array.from({ length: OTHERS }, (_, n) => ({ payload: n, agent: `b${n}` }));
    await producer.addMany(lane, others);
    await vi.waitFor(async () => expect((await ends(world, lane)).done).toBe(OTHERS + 2), RETRYING);
    const order = sim.log.map(({ agent }) => agent);
    const verdict = sim.judge({ limits: LIMITS });
    expect(verdict, verdict.convictions[0]?.detail).toMatchObject({ clean: true });
    return { before: order.indexOf('a01', 2) - 2, most: verdict.summary.maxConcurrent };
  }

  it('leaves the slots of the upstream to other agents, and has them again when it may act', async ({ world }) => {
    expect(await crowd(world)).toEqual({ before: OTHERS, most: 2 });
  });

  it('that holds on to them keeps all others waiting (twin)', async ({ world }) => {
    const holding = vi.spyOn(HeldPermit.prototype, 'stepAside').mockImplementation(() => {});
    world.defer(() => holding.mockRestore());
    expect(await crowd(world)).toMatchObject({ before: 0 });
  });
});
