// Lanes whose jobs act as agents: nobody acts early, no window that work waits for is left out, and who goes next is the line's to say.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle, park } from '../../src/index.ts';
import { AgentHold } from '../../src/path/agent-hold.ts';
import { addAgent, clearAgent, markAgent, removeAgent } from '../../src/path/agent-orders.ts';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { it, type World } from '../support/world.ts';
import { forumOf } from './forum.ts';
import { gate, plainQueue, RETRYING, untilState } from './looking.ts';

interface Act {
  agent: string;
  job: string;
  at: number;
  endedAt: number;
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Answers after a while, and remembers who came when. */
async function serveActs(world: World, latencyMs = 5, answer: (act: Act) => Answer = () => ({ status: 200 })) {
  const acts: Act[] = [];
  const server = createServer((request, response) => {
    const act = {
      agent: String(request.headers['x-agent']),
      job: String(request.headers['x-job']),
      at: performance.now(),
      endedAt: 0,
    };
    acts.push(act);
    request.resume();
    setTimeout(() => {
      act.endedAt = performance.now();
      const { status, headers, body = {} } = answer(act);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    }, latencyMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.defer(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, acts };
}

/** The gaps from an agent's last answer to its next arrival. */
function gapsOf(acts: readonly Act[]): number[] {
  const last = new Map<string, number>();
  const gaps: number[] = [];
  for (const { agent, at, endedAt } of acts) {
    const before = last.get(agent);
    if (before !== undefined) gaps.push(at - before);
    last.set(agent, endedAt);
  }
  return gaps;
}

function lanesOf(url: string, agents: string[], cooldown: string) {
  const upstream = defineUpstream({ name: 'forum', baseUrl: url, agents });
  return defineLane({ name: 'publish', upstream, agent: { cooldown }, concurrency: 64 });
}

const act = (lane: ReturnType<typeof lanesOf>) =>
  handle(lane, {
    async run(job, ctx) {
      await (await ctx.fetch('/act', { headers: { 'x-agent': String(job.agent), 'x-job': job.id } })).text();
      return { agent: job.agent };
    },
  });

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
    // Claimed long before it opens, and with the second in hand a job comes that is more urgent.
    const { claim, sent } = Calendar.prototype;
    let top: Promise<{ id: string }> | undefined;
    vi.spyOn(Calendar.prototype, 'claim').mockImplementation(async function (
      this: Calendar,
      queue,
      token,
      _,
      yields,
      apartMs,
    ) {
      const claimed = await claim.call(this, queue, token, 450, yields, apartMs);
      if (claimed.kind === 'job' && claimed.job.id === second.id) top ??= producer.add(lane, null, { priority: 1 });
      await top;
      return claimed;
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

describe('an agent', () => {
  it('that its upstream tells to wait waits through every pod, and says why; others act on', async ({ world }) => {
    const codes: Record<string, string> = { 'retry-after': 'too-many', quota: 'quota-exceeded', ban: 'banned' };
    const answer = ({ agent }: Act) => {
      const code = codes[agent];
      return code ? { status: 429, headers: { 'retry-after': '3600' }, body: { error: { code } } } : { status: 200 };
    };
    const { url, acts } = await serveActs(world, 5, answer);
    const told = Object.keys(codes);
    const lane = lanesOf(url, [...told, 'b'], '50ms');
    for (let n = 0; n < 2; n++) await world.pod([act(lane)]);
    const producer = await world.producer();
    for (const agent of told) {
      await producer.add(lane, null, { agent });
      await vi.waitFor(async () => expect(await stateOf(world, agent)).toMatchObject({ source: agent }), RETRYING);
    }
    await producer.addMany(lane, Array(6).fill({ payload: null }));
    await vi.waitFor(() => expect(acts).toHaveLength(9), RETRYING);
    expect(acts.slice(3).map(({ agent }) => agent)).toEqual(Array(6).fill('b'));
    for (const agent of told) {
      const { opensInMs, reason } = await stateOf(world, agent);
      expect(opensInMs).toBeGreaterThan(3_500_000);
      expect(reason).toMatch(/^GET \/act: 429 /);
    }
  });

  it('waits for what its handler says, if that is later than its cooldown', async ({ world }) => {
    const { url } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '50ms');
    await world.pod([
      handle(lane, {
        async run(_, ctx) {
          await ctx.fetch('/act');
          ctx.cooldown(Date.now() + 3_600_000, 'a captcha');
        },
      }),
    ]);
    const { id } = await (await world.producer()).add(lane, null);
    await untilState(world.queue(lane), id, 'done');
    const { opensInMs, ...state } = await stateOf(world);
    expect(state).toMatchObject({ source: 'policy', reason: 'a captcha' });
    expect(opensInMs).toBeGreaterThan(3_500_000);
  });

  it.for([
    ['success', 2],
    ['attempt', 1],
  ] as const)(
    'of whom a lane charges each %s comes so often when its first act fails: %i',
    async ([charge, count], { world }) => {
      const { url, acts } = await serveActs(world, 5, () => ({ status: acts.length === 1 ? 500 : 200 }));
      const upstream = defineUpstream({ name: 'forum', baseUrl: url, agents: ['a'] });
      const retry = { attempts: 3, backoff: [0], jitter: 0 };
      const lane = defineLane({ name: 'publish', upstream, agent: { cooldown: '1h', charge }, retry });
      await world.pod([act(lane)]);
      const { id } = await (await world.producer()).add(lane, null);
      if (charge === 'success') await untilState(world.queue(lane), id, 'done');
      else await untilLined(world, lane, id, 'a');
      expect(acts).toHaveLength(count);
      expect((await stateOf(world)).opensInMs).toBeGreaterThan(3_500_000);
    },
  );

  it('that is removed while it acts loses no job: those that wait for it and the one it began run when it is back', async ({
    world,
  }) => {
    const { url, acts } = await serveActs(world);
    const upstream = defineUpstream({ name: 'forum', baseUrl: url, agents: ['a'] });
    const retry = { attempts: 2, backoff: [0], jitter: 0 };
    const lane = defineLane({ name: 'publish', upstream, agent: { cooldown: '50ms' }, retry });
    const { opened, open } = gate();
    await world.pod([
      handle(lane, {
        async run({ id, attempt }, ctx) {
          await ctx.fetch('/act', { headers: { 'x-agent': 'a', 'x-job': id } });
          if (attempt > 1) return;
          await opened;
          throw new Error('again');
        },
      }),
    ]);
    const producer = await world.producer();
    const begun = await producer.add(lane, null);
    await vi.waitFor(() => expect(acts).toHaveLength(1), RETRYING);
    const others = [await producer.add(lane, null, { agent: 'a' }), await producer.add(lane, null)];
    const { orders } = await forumOf(world, []);
    expect(await removeAgent(orders, 'a')).toMatchObject({ isActing: true, waiting: 1 });
    open();
    await untilLined(world, lane, begun.id, 'a');
    await addAgent(orders, 'a', undefined);
    for (const { id } of [begun, ...others]) await untilState(world.queue(lane), id, 'done');
    expect(acts.filter(({ job }) => job === begun.id)).toHaveLength(2);
  });

  /** A job begins as an agent that others have by the time it wants to send; `sent` is what it hears then. */
  async function overtaken(world: World) {
    const { url, acts } = await serveActs(world);
    const lane = lanesOf(url, ['a'], '1h');
    const { opened, open } = gate();
    let hasBegun = false;
    const pod = await world.pod([
      handle(lane, {
        async run({ id }, ctx) {
          hasBegun = true;
          await opened;
          await ctx.fetch('/act', { headers: { 'x-agent': 'a', 'x-job': id } });
        },
      }),
    ]);
    const seen = world.record(pod);
    await (await world.producer()).add(lane, null);
    const key = world.keys.agent('forum', 'a');
    // What it said ahead is taken back.
    await vi.waitFor(() => expect(hasBegun).toBe(true), RETRYING);
    await vi.waitFor(async () => expect(await world.redis.hget(key, 'sent')).toBeNull(), RETRYING);
    await world.redis.hset(key, 'token', '1');
    open();
    const ended = () => seen.filter(({ name }) => name === 'attempt.lost' || name === 'attempt.finished');
    await vi.waitFor(() => expect(ended()).not.toEqual([]), RETRYING);
    return acts.length;
  }

  it('that others have by now is not acted as, whatever the clock of its pod says', async ({ world }) => {
    expect(await overtaken(world)).toBe(0);
  });

  it('twin: by a pod that does not ask it is', async ({ world }) => {
    const { sent } = Calendar.prototype;
    const asked = vi.spyOn(Calendar.prototype, 'sent').mockImplementation(async function (this: Calendar, ...given) {
      return { ...(await sent.apply(this, given)), isOurs: true };
    });
    world.defer(() => asked.mockRestore());
    expect(await overtaken(world)).toBe(1);
  });
});

async function stateOf({ redis, keys }: World, agent = 'a') {
  const { next, source, reason } = await redis.hgetall(keys.agent('forum', agent));
  return { source, reason, opensInMs: Number(next) - (await redisNow(redis)) };
}

function untilLined({ redis, keys }: World, lane: ReturnType<typeof lanesOf>, id: string, agent: string) {
  return vi.waitFor(async () => expect(await redis.zscore(keys.line(lane, agent), id)).not.toBeNull(), RETRYING);
}
