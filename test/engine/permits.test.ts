// A lane whose upstream has limits gets its turn in a full pod, fetches nothing that it may not run, and what a pod holds is free once
// it has left.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import { gate } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const upstream = defineUpstream({ name: 'narrow', limits: [{ concurrent: 1 }] });
const limited = defineLane({ name: 'limited', upstream });
const busy = defineLane({ name: 'busy' });

/** Of which nothing is known, it would be left alone for 3 s first. */
const know = ({ redis, keys }: World) => redis.hset(keys.limits('narrow'), 'born', '1');

describe('a full pod', () => {
  it('lets a limited lane run beside one that always has work', async ({ world }) => {
    await know(world);
    const producer = await world.producer();
    await producer.addMany(
      busy,
      Array.from({ length: 2_000 }, (_, n) => ({ payload: n })),
    );
    const ran: string[] = [];
    const run = async ({ lane }: { lane: string }) => {
      ran.push(lane);
      await new Promise((resolve) => setImmediate(resolve));
    };
    await world.pod([handle(busy, { run }), handle(limited, { run })], { concurrency: 2 });
    await vi.waitFor(() => expect(ran.length).toBeGreaterThan(20));
    await producer.addMany(
      limited,
      Array.from({ length: 20 }, (_, n) => ({ payload: n })),
    );
    await vi.waitFor(() => expect(ran.filter((lane) => lane === 'limited').length).toBe(20), { timeout: 10_000 });
    expect(ran.filter((lane) => lane === 'busy').length).toBeLessThan(2_000);
  });
});

describe('a lane whose upstream is full', () => {
  /** Eight jobs could run; answers what is active while the first runs, and the order in which all ran. */
  async function runAll(world: World, lane: typeof limited) {
    const held = gate();
    const ran: unknown[] = [];
    const producer = await world.producer();
    for (let n = 0; n < 6; n++) await producer.add(lane, n, { priority: 5 });
    await world.pod([
      handle(lane, {
        async run({ payload }) {
          ran.push(payload);
          await held.opened;
        },
      }),
    ]);
    await vi.waitFor(() => expect(ran.length).toBeGreaterThan(0));
    // Later than all of them, and before all that wait.
    const { id } = await producer.add(lane, 'urgent', { priority: 1 });
    const { backend } = world.queue(lane);
    await vi.waitUntil(async () => (await backend.getCounts(['active', 'prioritized']))[1] === 6 || ran.length === 7);
    const [active] = await backend.getCounts(['active']);
    const waiting = await showJob(world.queue(lane), id);
    held.open();
    await vi.waitFor(() => expect(ran).toHaveLength(7));
    return { active, ran, waiting };
  }

  it('fetches nothing without a permit: what waits is waiting, untouched, and goes in its order', async ({ world }) => {
    await know(world);
    const { active, ran, waiting } = await runAll(world, limited);
    expect(active).toBe(1);
    expect(waiting).toMatchObject({ state: 'waiting', attempt: 1 });
    expect(ran).toEqual([0, 'urgent', 1, 2, 3, 4, 5]);
  });

  it('without the limit has all of them active, the urgent one last (twin)', async ({ world }) => {
    const { active, ran } = await runAll(world, busy);
    expect(active).toBe(7);
    expect(ran).toEqual([0, 1, 2, 3, 4, 5, 'urgent']);
  });
});

describe('a pod that leaves', () => {
  it('gives back what it holds, and its definition', async ({ world }) => {
    await know(world);
    const producer = await world.producer();
    await producer.add(limited, 1);
    let started = false;
    const pod = await world.pod([
      handle(limited, {
        async run(_, { signal }) {
          started = true;
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
      }),
    ]);
    await vi.waitFor(() => expect(started).toBe(true));
    expect(await world.redis.zcard(world.keys.limitUses('narrow', 'concurrent'))).toBe(1);
    await pod.stop('over', 0);
    expect(await world.redis.zcard(world.keys.limitUses('narrow', 'concurrent'))).toBe(0);
    const fields = await world.redis.hkeys(world.keys.limitDefinitions('narrow'));
    expect(fields.filter((field) => field.startsWith('def:'))).toEqual([]);
  });
});
