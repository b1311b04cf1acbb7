// Limits that only a job decides, held by pods: what an agent may do, judged by the upstream, and what tokens may be used, added up
// as it was used. Each has a twin without the limit.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle, type Lane } from '../../src/index.ts';
import type { Handler } from '../../src/path/handler.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import { createSimulator, type SimulatorOptions } from '../../src/simulator/index.ts';
import { ownUses } from '../store/own-uses.ts';
import { it, type World } from '../support/world.ts';
import { limit } from './limited-upstream.ts';
import { gate, RETRYING, untilState } from './looking.ts';

type Run = Parameters<typeof handle>[1]['run'];

/** Its state counts as known: the first pod of all waits for one `per` otherwise. */
async function upstreamOf(world: World, url: string, limits: LimitOptions[]) {
  await world.redis.hset(world.keys.limits('api'), 'born', 1);
  return defineUpstream({ name: 'api', baseUrl: url, ...(limits.length > 0 && { limits }) });
}

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
  const lane = defineLane({ name: 'act', upstream: await upstreamOf(world, url, limits), concurrency: 8 });
  const producer = await world.producer();
  const agents = ['a01', 'a02', 'a03'];
  await producer.addMany(
    lane,
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

  it('without its limit sends more (twin)', async ({ world }) => {
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
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ concurrent: 1, by: 'agent' }]);
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

  it('because the state of its limits is gone waits for one interval', async ({ world }) => {
    const upstream = defineUpstream({ name: 'api', limits: [{ count: 5, per: '700ms', by: 'agent' }] });
    const lane = defineLane({ name: 'act', upstream });
    const pod = await world.pod([handle(lane, { run: () => 'ran' })]);
    const events = world.record(pod);
    const { id } = await (await world.producer()).add(lane, 1, { agent: 'a01' });
    await untilState(world.queue(lane), id, 'done');
    expect(events.find(({ name }) => name === 'limit.lost')?.data).toMatchObject({ upstream: 'api', forMs: 700 });
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
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ concurrent: 1, by: 'agent' }]);
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
    const upstream = await upstreamOf(world, url, [{ count: 1, per: '1h', by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream });
    await world.pod([handle(lane, { run: ({ agent }, ctx) => acts(agent, ctx, 2) })]);
    const { id } = await (await world.producer()).add(lane, 1, { agent: 'a01' });
    const parked = await untilState(world.queue(lane), id, 'parked');
    expect(parked).toMatchObject({ gate: 'limit', attempt: 1 });
    expect(parked.reason).toBe("limit 'per-1h-by-agent' of api: agent a01 uses 1 of 1");
    expect(sim.judge({}).summary.requests).toBe(1);
  });

  it('of a request that was never sent goes back', async ({ world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ count: 1, per: '1h', by: 'agent' }]);
    const lane = defineLane({ name: 'act', upstream });
    await world.pod([handle(lane, { run: () => 'ran' })]);
    for (let n = 0; n < 3; n++) {
      const { id } = await (await world.producer()).add(lane, n, { agent: 'a01' });
      await untilState(world.queue(lane), id, 'done');
    }
  });
});

describe('tokens', () => {
  const PER_MS = 600;
  const LIMIT: LimitOptions = { tokens: 100, per: PER_MS };

  /** Runs jobs that use what `used` says and answers the most that was used in any interval, each at its end. */
  async function mostUsed(world: World, limits: LimitOptions[], used: number, tokens: Lane['tokens'], jobs = 16) {
    const spent: { at: number; tokens: number }[] = [];
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', limits);
    const share = limits.length > 0 ? { tokens: tokens as number } : {};
    const lane = defineLane({ name: 'ask', upstream, concurrency: 8, ...share });
    const producer = await world.producer();
    await producer.addMany(
      lane,
      Array.from({ length: jobs }, (_, n) => ({ payload: { n, size: used } })),
    );
    const run: Run = async (_, ctx) => {
      await new Promise((resolve) => setImmediate(resolve));
      ctx.spend({ input_tokens: used - 1, output_tokens: 1 });
      spent.push({ at: performance.now(), tokens: used });
    };
    const handler: Handler = handle(lane, { run });
    for (let n = 0; n < 2; n++) await world.pod([handler]);
    await vi.waitFor(() => expect(spent).toHaveLength(jobs), { timeout: 25_000, interval: 50 });
    return Math.max(
      ...spent.map(({ at }) =>
        spent.filter((one) => one.at > at - PER_MS && one.at <= at).reduce((sum, one) => sum + one.tokens, 0),
      ),
    );
  }

  it('are never more than their limit, with many calls in flight', async ({ world }) => {
    const most = await mostUsed(world, [LIMIT], 25, 25);
    expect(most).toBeLessThanOrEqual(100);
    expect(most, 'what is left is used').toBeGreaterThan(25);
  });

  it('are estimated from what the handler will see', async ({ world }) => {
    const estimate = ({ size }: { size: number }) => size * 1.5;
    expect(await mostUsed(world, [LIMIT], 20, estimate as Lane['tokens'], 8)).toBeLessThanOrEqual(100);
  });

  it('without a limit are more (twin)', async ({ world }) => {
    expect(await mostUsed(world, [], 25, undefined)).toBeGreaterThan(100);
  });

  it('that were fewer than estimated leave the rest to the next; more, and the next waits', async ({ world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: 60 });
    const use = [20, 70, 1];
    await world.pod([handle(lane, { run: (_, ctx) => ctx.spend(use.shift() as number) })]);
    const producer = await world.producer();
    const amounts = world.keys.limitAmounts('api', 'tokens-per-1h');
    for (const sum of [20, 90]) {
      const { id } = await producer.add(lane, sum);
      await untilState(world.queue(lane), id, 'done');
      await vi.waitFor(async () => expect(await world.redis.hget(amounts, 'sum')).toBe(String(sum)), RETRYING);
    }
    const { id } = await producer.add(lane, 3);
    expect(await untilState(world.queue(lane), id, 'parked')).toMatchObject({
      gate: 'limit',
      reason: "limit 'tokens-per-1h' of api: in use are 90 of 100, 60 more are needed",
    });
  });

  it('are what was estimated when nobody said', async ({ world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: 60, retry: { attempts: 1 } });
    await world.pod([
      handle(lane, {
        run: () => {
          throw new Error('no');
        },
      }),
    ]);
    const { id } = await (await world.producer()).add(lane, 1);
    await untilState(world.queue(lane), id, 'dead');
    const amounts = world.keys.limitAmounts('api', 'tokens-per-1h');
    await vi.waitFor(
      async () => expect(await world.redis.hmget(amounts, 'sum', 'flying')).toEqual(['60', '0']),
      RETRYING,
    );
  });

  it('that go beyond their estimate count at once', async ({ world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: 10 });
    const held = gate();
    const run: Run = async (_, ctx) => {
      ctx.spend(40);
      ctx.spend({ total_tokens: 50 });
      await held.opened;
    };
    await world.pod([handle(lane, { run })]);
    await (await world.producer()).add(lane, 1);
    const amounts = world.keys.limitAmounts('api', 'tokens-per-1h');
    await vi.waitFor(async () => expect(await world.redis.hget(amounts, 'sum')).toBe('90'), RETRYING);
    held.open();
  });
});

describe('a Redis that begins from an older state', () => {
  /** The second job after what the first one used was forgotten, as a restore from an older RDB would. */
  async function afterRestore(world: World, fields: Record<string, string>) {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1s' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: 60 });
    const ran: number[] = [];
    const run: Run = (_, ctx) => {
      ctx.spend(60);
      ran.push(performance.now());
    };
    const events = world.record(await world.pod([handle(lane, { run })]));
    const producer = await world.producer();
    const amounts = world.keys.limitAmounts('api', 'tokens-per-1s');
    for (const n of [1, 2]) {
      const { id } = await producer.add(lane, n);
      await untilState(world.queue(lane), id, 'done');
      await vi.waitFor(async () => expect(await world.redis.hget(amounts, 'flying')).toBe('0'), RETRYING);
      await world.redis.del(amounts, world.keys.limitUses('api', 'tokens-per-1s'));
      if (n === 1) await world.redis.hset(world.keys.limits('api'), { born: '1', ...fields });
    }
    const [first = 0, second = 0] = ran;
    return { lost: events.filter(({ name }) => name === 'limit.lost').length, gapMs: second - first };
  }

  it('is full for one interval', async ({ world }) => {
    const { lost, gapMs } = await afterRestore(world, { run: 'before' });
    expect(lost).toBe(1);
    expect(gapMs).toBeGreaterThanOrEqual(1_000);
  });

  it('and is not known by its run lets more through than may be (twin)', async ({ world }) => {
    const { lost, gapMs } = await afterRestore(world, {});
    expect(lost).toBe(0);
    expect(gapMs).toBeLessThan(1_000);
  });
});

describe('a wrong estimate', () => {
  const WRONG: [string, () => unknown][] = [
    ['NaN', () => Number.NaN],
    ['-1', () => -1],
    ['"5"', () => '5'],
    ['nothing', () => undefined],
    ['a promise', async () => Promise.reject(new Error('late'))],
    [
      'a throw: no size',
      () => {
        throw new Error('no size\nof all');
      },
    ],
  ];

  it.for(WRONG)('%s buries its job with one line, unseen by the handler', async ([got, tokens], { world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: tokens as () => number });
    const run = vi.fn();
    await world.pod([handle(lane, { run })]);
    const { id } = await (await world.producer()).add(lane, 1);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({
      class: 'refused',
      reason: `tokens: expected a number of tokens from 0 from the lane's function, got ${got}`,
    });
    expect(run).not.toHaveBeenCalled();
  });

  it('of more than the limit lets through now is buried too: it would wait for ever', async ({ world }) => {
    const upstream = await upstreamOf(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: () => 101 });
    await world.pod([handle(lane, { run: () => 'ran' })]);
    const { id } = await (await world.producer()).add(lane, 1);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({
      class: 'refused',
      reason: "tokens: expected at most 100, the present size of 'tokens-per-1h' of api, got 101",
    });
  });
});
