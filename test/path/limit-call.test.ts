// Jobs parked for tokens, or for what their agent may do, come when somebody makes that limit larger; others stay where they are.

import { describe, expect } from 'vitest';
import { defineLane, defineUpstream, handle, park } from '../../src/index.ts';
import { resetLimit, setLimit } from '../../src/path/limit-orders.ts';
import type { LimitOptions } from '../../src/path/limit-plan.ts';
import { it, type World } from '../support/world.ts';
import { untilState } from './looking.ts';

interface Given {
  limits: LimitOptions[];
  tokens?: number;
  /** Does it know the lanes of the upstream? */
  knowsLanes?: boolean;
}

/** Two jobs of one agent, the second parked for the hour that the first used up. */
async function full(world: World, { limits, tokens, knowsLanes = true }: Given) {
  const { redis, keys } = world;
  await redis.hset(keys.limits('api'), 'born', 1);
  const upstream = defineUpstream({ name: 'api', limits });
  const lane = defineLane({ name: 'act', upstream, ...(tokens !== undefined && { tokens }) });
  const run = ({ payload }: { payload: unknown }) =>
    payload === 'later' ? park({ until: Date.now() + 3_600_000, reason: 'it said so' }) : 1;
  await world.pod([handle(lane, { run })]);
  const queue = world.queue(lane);
  const producer = await world.producer();
  const agent = limits.some(({ by }) => by) ? 'a01' : undefined;
  const add = async (payload: string) => (await producer.add(lane, payload, { agent })).id;
  const queues = knowsLanes ? [queue] : [];
  return { queue, add, order: { redis, keys, upstream, queues, lanes: [], who: 'ann', reason: 'r' } };
}

const NAME = 'per-1h-by-agent';
const TOKENS = { limits: [{ tokens: 100, per: '1h' }] satisfies LimitOptions[], tokens: 100 };

describe('a larger limit', () => {
  it('of tokens brings who was parked for it, and nobody else', async ({ world }) => {
    const { queue, add, order } = await full(world, TOKENS);
    await setLimit(order, 'tokens-per-1h', { size: 200 });
    const [first, later] = [await add('now'), await add('later')];
    await untilState(queue, first, 'done');
    await untilState(queue, later, 'parked');
    const waiting = [await add('now'), await add('now')];
    for (const id of waiting) {
      const { gate, untilAt } = await untilState(queue, id, 'parked');
      expect({ gate, isFar: (untilAt ?? 0) > Date.now() + 1_800_000 }).toEqual({ gate: 'limit', isFar: true });
    }
    expect(await setLimit(order, 'tokens-per-1h', { size: 150 }), 'smaller').toMatchObject({ called: 0 });
    expect(await setLimit(order, 'tokens-per-1h', { size: 1_000 })).toMatchObject({ called: 2 });
    for (const id of waiting) await untilState(queue, id, 'done');
    const { untilAt } = await untilState(queue, later, 'parked');
    expect(untilAt).toBeGreaterThan(Date.now() + 1_800_000);
  });

  it('by agent does so too, when an order ends, and the line is made anew', async ({ world }) => {
    const { queue, add, order } = await full(world, {
      limits: [{ concurrent: 1 }, { count: 2, per: '1h', by: 'agent' }],
    });
    await setLimit(order, NAME, { size: 1 });
    // It sent a request a moment ago, and many have asked since.
    const { redis, keys } = world;
    const untilAt = Date.now() + 3_600_000;
    const amounts = keys.limitAmounts('api', NAME, 'a01');
    await redis.zadd(keys.limitUses('api', NAME, 'a01'), untilAt, `=${untilAt}`);
    await redis.hset(amounts, { [`=${untilAt}`]: 1, sum: 1, line: `${untilAt + 3_600_000} 1` });
    await redis.zadd(keys.limitAgents('api'), untilAt, 'a01');
    const ids = [await add('now'), await add('now')];
    for (const id of ids) await untilState(queue, id, 'parked');
    expect(await resetLimit(order)).toMatchObject([{ limit: NAME, before: 1, after: 2, called: 2 }]);
    for (const id of ids) await untilState(queue, id, 'done');
  });

  it('brings nobody where the lanes are not known (twin)', async ({ world }) => {
    const { queue, add, order } = await full(world, { ...TOKENS, knowsLanes: false });
    await untilState(queue, await add('now'), 'done');
    const id = await add('now');
    await untilState(queue, id, 'parked');
    expect(await setLimit(order, 'tokens-per-1h', { size: 1_000 })).toMatchObject({ called: 0 });
    expect((await untilState(queue, id, 'parked')).untilAt).toBeGreaterThan(Date.now() + 1_800_000);
  });
});
