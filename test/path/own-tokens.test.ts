// Limits of tokens, held by pods: what was used, added up as it was used, whatever was expected. Each has a twin without the limit.

import { describe, expect, vi } from 'vitest';
import { defineLane, handle, type Lane } from '../../src/index.ts';
import type { Handler } from '../../src/path/handler.ts';
import { resetLimit, setLimit } from '../../src/path/limit-orders.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import { it, type World } from '../support/world.ts';
import { knownUpstream } from './known-upstream.ts';
import { gate, RETRYING, untilState } from './looking.ts';

type Run = Parameters<typeof handle>[1]['run'];

describe('tokens', () => {
  const PER_MS = 600;
  const LIMIT: LimitOptions = { tokens: 100, per: PER_MS };

  /** Runs jobs that use what `used` says and answers the most that was used in any interval, each at its end. */
  async function mostUsed(world: World, limits: LimitOptions[], used: number, tokens: Lane['tokens'], jobs = 16) {
    const spent: { at: number; tokens: number }[] = [];
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', limits);
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
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
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
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
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

  it('of what is under way are named again when all was forgotten', async ({ world }) => {
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: 60 });
    const [begun, held] = [gate(), gate()];
    const run: Run = async () => {
      begun.open();
      await held.opened;
    };
    await world.pod([handle(lane, { run })]);
    await (await world.producer()).add(lane, 1);
    await begun.opened;
    const { keys, redis } = world;
    const amounts = keys.limitAmounts('api', 'tokens-per-1h');
    await redis.del(keys.limits('api'), keys.limitUses('api', 'tokens-per-1h'), amounts);
    await vi.waitFor(async () => expect(await redis.hget(amounts, 'flying')).toBe('60'), RETRYING);
    held.open();
    await vi.waitFor(async () => expect(await redis.hmget(amounts, 'sum', 'flying')).toEqual(['60', '0']), RETRYING);
  });

  it('that go beyond their estimate count at once', async ({ world }) => {
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
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
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1s' }]);
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
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
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
    const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
    const lane = defineLane({ name: 'ask', upstream, tokens: () => 101 });
    await world.pod([handle(lane, { run: () => 'ran' })]);
    const { id } = await (await world.producer()).add(lane, 1);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({
      class: 'refused',
      reason: "tokens: expected at most 100, the present size of 'tokens-per-1h' of api, got 101",
    });
  });
});

describe('an estimate that only an order makes too large', () => {
  it.for(['reset', 'over'])(
    'is waited with, burns no attempt, and comes when the order is %s',
    async (how, { world }) => {
      const upstream = await knownUpstream(world, 'http://127.0.0.1:9', [{ tokens: 100, per: '1h' }]);
      const lane = defineLane({ name: 'ask', upstream, tokens: () => 60 });
      await world.pod([handle(lane, { run: ({ attempt }) => attempt })]);
      const { redis, keys } = world;
      const queue = world.queue(lane);
      const order = { redis, keys, upstream, queues: [queue], lanes: [lane], who: 'ann', reason: 'slow' };
      await setLimit(order, 'tokens-per-1h', { size: 10, ...(how === 'over' && { for: '1s' }) });
      const { id } = await (await world.producer()).add(lane, 1);
      expect(await untilState(queue, id, 'parked')).toMatchObject({
        gate: 'limit',
        reason:
          "limit 'tokens-per-1h' of api: 60 are needed at once, and for now it is 10, by order or as another pod defines it",
      });
      if (how === 'reset') expect(await resetLimit(order, 'tokens-per-1h')).toMatchObject([{ called: 1 }]);
      expect(await untilState(queue, id, 'done')).toMatchObject({ attempt: 1 });
    },
  );
});
