// Does the memory of what works on letters depend on how many there are? Measured after forced collections, and against what
// a tenth of them costs when it is held: whoever kept what it has seen would be convicted ten times over.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { listDead } from '../../src/path/dead-letters.ts';
import { exportLetters, type LetterRecord } from '../../src/path/letter-export.ts';
import { dropLetters, type OperationOptions, replayLetters } from '../../src/path/letter-operation.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { systemClock } from '../../src/words/clock.ts';
import { bury } from './letter-flood.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function heapNow(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Samples at each tenth of `count`; what it grew by since the first tenth, when everything is warm. */
function watchHeap(count: number) {
  const step = count / 10;
  let nextAt = step;
  const samples: number[] = [];
  return {
    seen(letters: number): void {
      if (letters < nextAt) return;
      nextAt += step;
      samples.push(heapNow());
    },
    growth: () => Math.max(...samples) - (samples[0] as number),
    samples,
  };
}

/** Lists, exports, replays half by class and drops the rest: each over `count` letters, each with flat memory. */
export async function proveFlat(queue: LaneQueue, count: number): Promise<void> {
  const options: OperationOptions = { who: 'ann', reason: null, rate: 0, clock: systemClock };
  await bury(queue, { count, size: 500, ofClass: (n) => (n % 2 === 0 ? 'auth' : 'gone') });

  // The twin first, for it makes the measure: a tenth, held.
  const held: LetterRecord[] = [];
  const before = heapNow();
  for await (const record of exportLetters(queue)) if (held.push(record) === count / 10) break;
  const tenth = heapNow() - before;
  expect(tenth, 'what is held is seen').toBeGreaterThan(held.length * 500);
  held.length = 0;
  const isFlat = (growth: number, what: string) =>
    expect(growth, `${what}: a tenth is ${tenth}`).toBeLessThan(tenth / 2);

  const listing = heapNow();
  expect(await listDead(queue, 20)).toHaveLength(20);
  expect(await listDead(queue, 20, 'quota'), 'looked at all of them').toEqual([]);
  isFlat(heapNow() - listing, 'list');

  const exporting = watchHeap(count);
  let exported = 0;
  for await (const _ of exportLetters(queue)) exporting.seen(++exported);
  expect(exported).toBe(count);
  isFlat(exporting.growth(), 'export');

  const replaying = watchHeap(count);
  let told = 0;
  const onReplay: OperationOptions['onProgress'] = ({ seen }) => {
    told++;
    replaying.seen(seen);
  };
  const replayed = await replayLetters(queue, { ...options, class: 'auth', onProgress: onReplay });
  expect(replayed).toMatchObject({ total: count, seen: count, done: count / 2 });
  expect(told, 'its progress').toBeGreaterThan(count / 200);
  expect(replaying.samples).toHaveLength(10);
  isFlat(replaying.growth(), 'replay');

  const dropping = watchHeap(count / 2);
  const dropped = await dropLetters(queue, { ...options, onProgress: ({ seen }) => dropping.seen(seen) });
  expect(dropped).toMatchObject({ total: count / 2, done: count / 2 });
  expect(dropping.samples).toHaveLength(10);
  isFlat(dropping.growth(), 'drop');
  expect(await queue.backend.getCounts(['wait', 'failed'])).toEqual([count / 2, 0]);
}
