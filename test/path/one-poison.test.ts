// One poison job among a thousand costs the others nothing: they end at their first attempt while it is still being tried.

import { describe, expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { gate, RETRYING, untilState } from './looking.ts';

const GOOD = 999;
const WAITING = { ...RETRYING, timeout: 45_000 };

describe('one poison job in 1,000', () => {
  it('is dead after its attempts; 999 are done at their first, and none of them waited for it', async ({ world }) => {
    const lane = defineLane({ name: 'poisoned', concurrency: 4, retry: { attempts: 3, backoff: [0], jitter: 0 } });
    const queue = world.queue(lane);
    const othersDone = gate();
    const attempts = new Map<string, number[]>();
    const pod = await world.pod([
      handle(lane, {
        async run({ id, attempt, payload }) {
          attempts.set(id, [...(attempts.get(id) ?? []), attempt]);
          if (payload !== 'poison') return;
          // Its last attempt stays for as long as any other is not done: one that waited for it would wait for ever.
          if (attempt === 3) await othersDone.opened;
          throw new Error('poison');
        },
      }),
    ]);
    const seen = world.record(pod);
    const producer = await world.producer();
    const poison = await producer.add(lane, 'poison');
    const good = await producer.addMany(
      lane,
      Array.from({ length: GOOD }, () => ({ payload: 'good' })),
    );
    await vi.waitFor(async () => expect(await queue.backend.getCounts(['completed'])).toEqual([GOOD]), WAITING);
    expect(await queue.backend.getCounts(['failed']), 'the poison is not even dead yet').toEqual([0]);
    othersDone.open();
    expect(await untilState(queue, poison.id, 'dead')).toMatchObject({ reason: 'poison', attempt: 3 });
    expect(attempts.get(poison.id)).toEqual([1, 2, 3]);
    for (const { id } of good) expect(attempts.get(id)).toEqual([1]);
    const ends = seen.flatMap(({ name, data }) => (name === 'attempt.finished' ? [data as { outcome: string }] : []));
    const count = (outcome: string) => ends.filter((end) => end.outcome === outcome).length;
    expect({ done: count('done'), retry: count('retry'), dead: count('dead') }).toEqual({
      done: GOOD,
      retry: 2,
      dead: 1,
    });
  });

  it('in a lane that runs one at a time holds its place only while it runs, not while it waits to be tried again', async ({
    world,
  }) => {
    // It waits an hour for its next attempt; whoever waited behind it would too.
    const lane = defineLane({ name: 'single', concurrency: 1, retry: { attempts: 3, backoff: ['1h'], jitter: 0 } });
    const queue = world.queue(lane);
    await world.pod([
      handle(lane, {
        run({ payload }) {
          if (payload === 'poison') throw new Error('poison');
        },
      }),
    ]);
    const producer = await world.producer();
    const poison = await producer.add(lane, 'poison');
    await producer.addMany(
      lane,
      Array.from({ length: GOOD }, () => ({ payload: 'good' })),
    );
    await vi.waitFor(async () => expect(await queue.backend.getCounts(['completed'])).toEqual([GOOD]), WAITING);
    expect(await untilState(queue, poison.id, 'scheduled')).toMatchObject({ attempt: 2 });
  });

  it('would hold up those behind it while it runs in such a lane (twin)', async ({ world }) => {
    const lane = defineLane({ name: 'blocked', concurrency: 1 });
    const queue = world.queue(lane);
    const held = gate();
    await world.pod([handle(lane, { run: ({ payload }) => (payload === 'poison' ? held.opened : undefined) })]);
    const producer = await world.producer();
    const poison = await producer.add(lane, 'poison');
    await untilState(queue, poison.id, 'active');
    await producer.addMany(lane, [{ payload: 'good' }, { payload: 'good' }]);
    expect(await queue.backend.getCounts(['wait', 'completed'])).toEqual([2, 0]);
    held.open();
    await vi.waitFor(async () => expect(await queue.backend.getCounts(['completed'])).toEqual([3]), WAITING);
  });
});
