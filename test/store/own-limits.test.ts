// The two scripts of the limits that are taken with the job, on a real Redis: all or none, never over, nothing left behind, and the
// same answers as a model that a reader can follow.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { redisNow } from '../../src/store/redis-now.ts';
import { limit } from '../path/limited-upstream.ts';
import { it, type World } from '../support/world.ts';
import { type OwnUse, ownUses } from './own-uses.ts';

const PER_MS = 100_000;
const SLOTS = limit('concurrent', 2, 0, true);
const COUNT = limit('count', 3, PER_MS, true);
const TOKENS = limit('tokens', 1_000, PER_MS);

const use = (id: string, of: OwnUse['limit'], amount = 1, agent = 'a01'): OwnUse => ({
  limit: of,
  id: `lane|${id}|pod|0`,
  amount,
  ...(of.byAgent && { agent }),
});

describe('a take', () => {
  it('is of all its limits or of none', async ({ world }) => {
    const own = await ownUses(world, [SLOTS, COUNT, TOKENS]);
    const all = (id: string, tokens: number) => [use(id, SLOTS), use(id, COUNT), use(id, TOKENS, tokens)];
    expect(await own.take(all('1', 600))).toEqual({ kind: 'taken' });
    expect(await own.take(all('2', 401))).toMatchObject({ kind: 'wait', limit: TOKENS.name, used: 600, size: 1_000 });
    expect([await own.sum(SLOTS, 'a01'), await own.sum(COUNT, 'a01'), await own.sum(TOKENS)]).toEqual([1, 1, 600]);
    expect(await own.take(all('2', 400))).toEqual({ kind: 'taken' });
    expect(await own.take(all('3', 0))).toMatchObject({ kind: 'wait', limit: SLOTS.name, used: 2, size: 2 });
  });

  it('of one agent is none of another', async ({ world }) => {
    const own = await ownUses(world, [SLOTS]);
    for (const id of ['1', '2']) await own.take([use(id, SLOTS)]);
    expect(await own.take([use('3', SLOTS)])).toMatchObject({ kind: 'wait' });
    expect(await own.take([use('3', SLOTS, 1, 'a02')])).toEqual({ kind: 'taken' });
  });

  it('that comes twice, because its answer was lost, takes once', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 700)]);
    expect(await own.take([use('1', TOKENS, 700)])).toEqual({ kind: 'taken' });
    expect(await own.sum(TOKENS)).toBe(700);
  });

  it('is of the size that an order gives, until the order ends', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.set({ [`set:${TOKENS.name}`]: JSON.stringify({ size: 100, until: null }) });
    expect(await own.take([use('1', TOKENS, 101)])).toEqual({ kind: 'over', limit: TOKENS.name, size: 100, forMs: 0 });
    await own.set({ [`set:${TOKENS.name}`]: JSON.stringify({ size: 100, until: 5 }) });
    expect(await own.take([use('1', TOKENS, 101)])).toEqual({ kind: 'taken' });
  });

  it('of more tokens than the limit has is never worth waiting for', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    expect(await own.take([use('1', TOKENS, 1_001)])).toEqual({
      ...{ kind: 'over', limit: TOKENS.name, size: 1_000, forMs: 0 },
    });
    expect(await own.sum(TOKENS)).toBe(0);
  });

  it('is told that nothing is known, or that nobody is let through', async ({ world }) => {
    const own = await ownUses(world, [SLOTS]);
    const soon = Date.now() + 60_000;
    for (const field of ['hold', 'closed']) {
      await own.set({ [field]: soon });
      expect(await own.take([use('1', SLOTS)])).toMatchObject({ kind: 'shut', forMs: expect.any(Number) });
      await own.set({ [field]: 0 });
    }
    expect(await own.take([use('1', COUNT)])).toEqual({ kind: 'gone' });
    await world.redis.del(world.keys.limits('api'));
    expect(await own.take([use('1', SLOTS)])).toEqual({ kind: 'gone' });
    expect(await own.settle([{ ...use('1', SLOTS), what: 'drop' }])).toBeUndefined();
  });

  it('is told so by another run of Redis, whose state may be older; what became of a use is taken in', async ({
    world,
  }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 700)]);
    await own.set({ run: 'before' });
    expect(await own.take([use('2', TOKENS, 1)])).toEqual({ kind: 'gone' });
    expect(await own.settle([{ ...use('1', TOKENS, 600), what: 'settle' }])).toEqual([]);
    expect(await own.sum(TOKENS)).toBe(600);
  });

  it('works when Redis has forgotten the scripts', async ({ world }) => {
    const own = await ownUses(world, [SLOTS]);
    await own.take([use('1', SLOTS)]);
    await world.redis.script('FLUSH');
    expect(await own.settle([{ ...use('1', SLOTS), what: 'drop' }])).toEqual([]);
    await world.redis.script('FLUSH');
    expect(await own.take([use('2', SLOTS)])).toEqual({ kind: 'taken' });
  });
});

describe('when to come again', () => {
  it('is when enough stops to count', async ({ world }) => {
    const own = await ownUses(world, [COUNT]);
    for (const id of ['1', '2', '3']) {
      await own.take([use(id, COUNT)]);
      await own.settle([{ ...use(id, COUNT), what: 'settle' }]);
      await own.shift(COUNT, 10_000, 'a01');
    }
    const refused = await own.take([use('4', COUNT)]);
    const { forMs } = refused as { forMs: number };
    expect(forMs).toBeGreaterThan(PER_MS - 30_000 - 5_000);
    expect(forMs).toBeLessThanOrEqual(PER_MS - 30_000 + 101);
    await own.shift(COUNT, forMs - 5_000, 'a01');
    expect(await own.take([use('4', COUNT)])).toMatchObject({ kind: 'wait' });
    await own.shift(COUNT, 5_000, 'a01');
    expect(await own.take([use('4', COUNT)])).toEqual({ kind: 'taken' });
    expect(await own.take([use('5', COUNT)])).toMatchObject({ kind: 'wait' });
  });

  it('is later for each newcomer, at the pace of the limit: one window does not wake a backlog', async ({ world }) => {
    const own = await ownUses(world, [COUNT]);
    for (const id of ['1', '2', '3']) {
      await own.take([use(id, COUNT)]);
      await own.settle([{ ...use(id, COUNT), what: 'settle' }]);
    }
    const told: number[] = [];
    for (let n = 0; n < 40; n++)
      told.push(((await own.take([use(`w${n}`, COUNT)], 100, 0)) as { forMs: number }).forMs);
    // Three in each 100 s for as long as it is worth saying, then spread.
    expect(told.slice(1, 4).map((ms, n) => Math.round((ms - (told[n] as number)) / 1_000))).toEqual([33, 33, 33]);
    for (const ms of told) expect(ms).toBeLessThanOrEqual(2 * PER_MS + 1_000);
  });

  it('is when an order ends that made the limit smaller, one after the other; of one that ends by no clock, as ever (twin)', async ({
    world,
  }) => {
    const own = await ownUses(world, [COUNT, TOKENS]);
    const order = (of: OwnUse['limit'], size: number, until: number | null) =>
      own.set({ [`set:${of.name}`]: JSON.stringify({ size, until }) });
    const told = async (id: string) => ((await own.take([use(id, COUNT)], 100, 0)) as { forMs: number }).forMs;
    const endsAt = (await redisNow(world.redis)) + 20_000;
    await order(COUNT, 1, endsAt);
    await own.take([use('1', COUNT)]);
    await own.settle([{ ...use('1', COUNT), what: 'settle' }]);
    for (let n = 0; n < 5; n++) {
      const atMs = (await told(`w${n}`)) + (await redisNow(world.redis)) - endsAt;
      expect(Math.abs(atMs - n * 5), `${n} ${atMs}`).toBeLessThan(5 + 50);
    }
    await order(TOKENS, 100, endsAt);
    const over = (await own.take([use('t', TOKENS, 101)])) as { forMs: number };
    expect(Math.abs(over.forMs + (await redisNow(world.redis)) - endsAt)).toBeLessThan(50);
    await order(COUNT, 1, null);
    expect(await told('later')).toBeGreaterThan(50_000);
    await order(COUNT, 1, (await redisNow(world.redis)) - 1);
    expect(await own.take([use('w0', COUNT)], 100, 0), 'it has ended').toEqual({ kind: 'taken' });
    await own.take([use('w1', COUNT)]);
    expect(await told('new'), 'the line is made anew').toBeLessThan(PER_MS + 1_000);
  });

  it('is soon where what runs now gives back at its end', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 900)], 60_000);
    const { forMs } = (await own.take([use('2', TOKENS, 200)], 60_000)) as { forMs: number };
    expect(forMs).toBeLessThanOrEqual(1_000);
  });
});

describe('what becomes of a use', () => {
  it('of tokens is what they came to, for a whole interval from then', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 900)], 60_000);
    await own.shift(TOKENS, 50_000);
    await own.settle([{ ...use('1', TOKENS, 250), what: 'settle' }]);
    expect(await own.sum(TOKENS)).toBe(250);
    await own.shift(TOKENS, PER_MS - 5_000);
    expect(await own.take([use('2', TOKENS, 751)])).toMatchObject({ kind: 'wait', used: 250 });
    await own.shift(TOKENS, 5_101);
    expect(await own.take([use('2', TOKENS, 1_000)])).toEqual({ kind: 'taken' });
  });

  it('whose pod died is its estimate, until its time and an interval have passed', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 900)], 60_000);
    await own.shift(TOKENS, 60_000 + PER_MS - 5_000);
    expect(await own.take([use('2', TOKENS, 101)])).toMatchObject({ kind: 'wait', used: 900 });
    await own.shift(TOKENS, 5_000);
    expect(await own.take([use('2', TOKENS, 1_000)])).toEqual({ kind: 'taken' });
  });

  it('that goes beyond its estimate blocks the next, at once', async ({ world }) => {
    const own = await ownUses(world, [TOKENS]);
    await own.take([use('1', TOKENS, 100)], 60_000);
    await own.settle([{ ...use('1', TOKENS, 1_500), what: 'raise', forMs: 60_000 }]);
    expect(await own.take([use('2', TOKENS, 1)])).toMatchObject({ kind: 'wait', used: 1_500 });
    await own.settle([{ ...use('1', TOKENS, 50), what: 'raise', forMs: 60_000 }]);
    expect(await own.sum(TOKENS)).toBe(1_500);
  });

  it('that is kept holds on; what ran out is had again while nobody else has it', async ({ world }) => {
    const own = await ownUses(world, [SLOTS]);
    const [one, two, three] = [use('1', SLOTS), use('2', SLOTS), use('3', SLOTS)];
    for (const each of [one, two]) await own.take([each]);
    await own.shift(SLOTS, 14_000, 'a01');
    expect(await own.settle([{ ...one, what: 'keep', forMs: 15_000 }])).toEqual([]);
    await own.shift(SLOTS, 2_000, 'a01');
    expect(await own.take([three], 15_000), 'the second ran out').toEqual({ kind: 'taken' });
    expect(await own.settle([{ ...two, what: 'keep', forMs: 15_000 }])).toEqual([two.id]);
    await own.settle([{ ...three, what: 'drop' }]);
    expect(await own.settle([{ ...two, what: 'keep', forMs: 15_000 }])).toEqual([]);
    expect(await own.sum(SLOTS, 'a01')).toBe(2);
  });

  it('with a request on the wire ends no sooner than its answer may come', async ({ world }) => {
    const own = await ownUses(world, [SLOTS]);
    await own.take([use('1', SLOTS, 2)], 15_000);
    await own.settle([{ ...use('1', SLOTS, 2), what: 'keep', forMs: 60_000, isWired: true }]);
    await own.settle([{ ...use('1', SLOTS, 2), what: 'keep', forMs: 15_000, isWired: true }]);
    await own.shift(SLOTS, 30_000, 'a01');
    expect(await own.take([use('2', SLOTS)])).toMatchObject({ kind: 'wait' });
    await own.settle([{ ...use('1', SLOTS, 2), what: 'keep', forMs: 15_000 }]);
    await own.shift(SLOTS, 16_000, 'a01');
    expect(await own.take([use('2', SLOTS)])).toEqual({ kind: 'taken' });
  });

  it('leaves nothing of an agent that never comes back', async ({ world }) => {
    const own = await ownUses(world, [SLOTS, COUNT]);
    await own.take([use('1', SLOTS), use('1', COUNT)], 15_000);
    await own.settle([{ ...use('1', SLOTS), what: 'drop' }]);
    await own.take([use('2', SLOTS, 1, 'a02')], 15_000);
    for await (const found of world.redis.scanStream({ match: `${world.prefix}:*:limit:*`, count: 1_000 })) {
      for (const key of found as string[]) expect(await world.redis.pttl(key), key).toBeGreaterThan(0);
    }
    for await (const found of world.redis.scanStream({ match: `${world.prefix}:*:amount:*`, count: 1_000 })) {
      for (const key of found as string[]) expect(await world.redis.pttl(key), key).toBeGreaterThan(0);
    }
  });
});

/** One step of a history; instants are virtual ms, moved in strides of 7 s so that nothing ends exactly when it is looked at. */
type Step =
  | { do: 'take'; limits: number[]; agent: number; amount: number }
  | { do: 'settle' | 'drop' | 'raise' | 'keep'; which: number; amount: number }
  | { do: 'pass'; strides: number };

const LIMITS = [SLOTS, COUNT, limit('tokens', 50, PER_MS), limit('tokens', 30, PER_MS, true)];
const FOR_MS = 4_000;
const FATES = { concurrent: ['drop', 'keep'], count: ['drop', 'settle'], tokens: ['settle', 'raise'] };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('take' as const),
      limits: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
      agent: fc.nat(1),
      amount: fc.nat(30),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('settle' as const, 'drop' as const, 'raise' as const, 'keep' as const),
      which: fc.nat(20),
      amount: fc.nat(40),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), strides: fc.integer({ min: 1, max: 9 }) }) },
);

interface Counted extends OwnUse {
  untilMs: number;
  isTaken: boolean;
}

async function judgeHistories(world: World, own: Awaited<ReturnType<typeof ownUses>>, numRuns = 60): Promise<void> {
  let runs = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), (history) => {
    runs++;
    return judgeHistory(world, own, history, String(runs));
  });
  await fc.assert(property, { numRuns });
}

async function judgeHistory(
  { redis, keys }: World,
  own: Awaited<ReturnType<typeof ownUses>>,
  history: readonly Step[],
  run: string,
): Promise<void> {
  const agents = ['a01', 'a02'].map((agent) => `${agent}-${run}`);
  for (const { name } of LIMITS) await redis.del(keys.limitUses('api', name), keys.limitAmounts('api', name));
  let nowMs = 0;
  let ids = 0;
  let counted: Counted[] = [];
  const inUse = ({ limit: of, agent }: OwnUse) =>
    counted.reduce((sum, each) => (each.limit === of && each.agent === agent ? sum + each.amount : sum), 0);
  for (const each of history) {
    counted = counted.filter(({ untilMs }) => untilMs > nowMs);
    if (each.do === 'pass') {
      const ms = each.strides * 7_000;
      nowMs += ms;
      for (const of of LIMITS) for (const agent of of.byAgent ? agents : [undefined]) await own.shift(of, ms, agent);
    } else if (each.do === 'take') {
      const uses = each.limits.map((index) => {
        const of = LIMITS[index] as OwnUse['limit'];
        return use(String(ids), of, of.kind === 'tokens' ? each.amount : 1, agents[each.agent]);
      });
      ids++;
      const fits = uses.every((one) => inUse(one) + one.amount <= one.limit.size);
      expect((await own.take(uses, FOR_MS)).kind).toBe(fits ? 'taken' : 'wait');
      if (fits)
        counted.push(...uses.map((one) => ({ ...one, untilMs: nowMs + FOR_MS + one.limit.perMs, isTaken: true })));
    } else {
      const held = counted.filter(({ isTaken }) => isTaken);
      const one = held[each.which % Math.max(1, held.length)];
      if (!one || !FATES[one.limit.kind].includes(each.do)) continue;
      const amount = one.limit.kind === 'tokens' ? each.amount : one.amount;
      expect(await own.settle([{ ...one, amount, what: each.do, forMs: FOR_MS }])).toEqual([]);
      if (each.do === 'drop') one.untilMs = nowMs;
      if (each.do === 'keep') one.untilMs = nowMs + FOR_MS;
      if (each.do === 'raise') one.amount = Math.max(one.amount, amount);
      if (each.do === 'settle') Object.assign(one, { amount, untilMs: nowMs + PER_MS, isTaken: false });
    }
  }
}

describe('any history', () => {
  it('is answered as the model answers', async ({ world }) => {
    await judgeHistories(world, await ownUses(world, LIMITS));
  });

  it('of a limit that lets one more through is not (twin)', async ({ world }) => {
    const own = await ownUses(world, LIMITS);
    await own.set({ [`set:${SLOTS.name}`]: JSON.stringify({ size: SLOTS.size + 1, until: null }) });
    // Few of them come to a third slot of one agent.
    await expect(judgeHistories(world, own, 1_000)).rejects.toThrow('Property failed');
  });
});
