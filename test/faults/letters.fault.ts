// A hundred thousand dead letters: in this process, measured; and by the command line, in a heap too small to hold them.

import { once } from 'node:events';
import { expect } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { createRetention } from '../../src/engine/retention.ts';
import { defineLane } from '../../src/index.ts';
import { createEventHub } from '../../src/words/events.ts';
import { bury, letterId } from '../path/letter-flood.ts';
import { proveFlat } from '../path/letter-heap.ts';
import { it } from '../support/world.ts';

const MANY = 100_000;
/** Letters of 1,400 characters: all of them would be 140 MB. */
const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=96' };

it('100,000 letters are listed, exported, replayed and dropped with flat memory', async ({ world }) => {
  await proveFlat(world.queue(defineLane({ name: 'many' })), MANY);
});

it('100,000 letters go through the command line in a heap that cannot hold them, and progress is told', async ({
  world,
}) => {
  const queue = world.queue(publish);
  await bury(queue, { count: MANY, size: 1_000 });
  const exporting = world.spawn(['dead', 'publish', 'export'], SMALL_HEAP);
  const exportEnded = once(exporting, 'exit');
  let lines = 0;
  let bytes = 0;
  for await (const chunk of exporting.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) lines++;
  }
  expect(await exportEnded).toEqual([0, null]);
  expect(lines).toBe(MANY);
  expect(bytes, 'more than the heap').toBeGreaterThan(96 * 1024 * 1024);

  const replayed = await world.cliProcess(['dead', 'publish', 'replay', '--all', '--rate', '0'], SMALL_HEAP);
  expect(replayed).toMatchObject({ code: 0, stdout: `replayed ${MANY} dead letters of publish\n` });
  expect(replayed.stderr).toMatch(/^replayed \d+ of 100000 \d+\/s, \S+ left$/m);
  expect(await queue.backend.getCounts(['wait', 'failed'])).toEqual([MANY, 0]);
});

it('100,000 expired letters leave in beats of 10,000, each counted', async ({ world }) => {
  const lane = defineLane({ name: 'expired', dead: { keep: '1h', max: 10 } });
  const laneQueue = world.queue(lane);
  await bury(laneQueue, { count: MANY, size: 1, diedAt: (n) => 1_700_000_000_000 + n });
  const events = createEventHub();
  const told: number[] = [];
  events.on('dead.expired', ({ count }) => void told.push(count));
  const { redis, keys } = world;
  const retention = createRetention({ pod: 'pod-1', redis, keys, lanes: [{ lane, laneQueue }], events });
  const failed = laneQueue.backend.toKey('failed');
  for (let beat = 1; beat <= 10; beat++) {
    await redis.del(keys.retention(lane));
    await retention.once();
    expect((await redis.zrange(failed, 0, '0'))[0], 'oldest first').toBe(
      beat < 10 ? letterId(beat * 10_000) : undefined,
    );
  }
  expect(told).toEqual(Array.from({ length: 10 }, () => 10_000));
});
