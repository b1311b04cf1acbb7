// What moves an agent's window, and who it belongs to: an answer, a handler, an order, another pod.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { addAgent, removeAgent } from '../../src/path/agent-orders.ts';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { it, type World } from '../support/world.ts';
import { type Act, act, lanesOf, serveActs } from './acting.ts';
import { forumOf } from './forum.ts';
import { gate, RETRYING, untilState } from './looking.ts';

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
      return { ...(await sent.apply(this, given)), standing: 'ours' as const };
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
