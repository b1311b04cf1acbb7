// What many tests of the path share: wait until a job is somewhere, read what stands in Redis, add as those who know us not.

import { Queue } from 'bullmq';
import { expect, vi } from 'vitest';
import type { Lane } from '../../src/index.ts';
import { type JobView, showJob } from '../../src/path/inspect.ts';
import type { JobState } from '../../src/path/job-state.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import type { World } from '../support/world.ts';

export const RETRYING = { timeout: 10_000, interval: 20 };
/** Who gives an order, and why. */
export const BY_ANN = { who: 'ann@desk', reason: 'wrong batch' };

export async function untilState(queue: LaneQueue, id: string, state: JobState): Promise<JobView> {
  return vi.waitFor(async () => {
    const job = await showJob(queue, id);
    expect(job, `job ${id}`).toMatchObject({ state });
    return job;
  }, RETRYING);
}

/** Every key of the test's namespace. */
export async function keysOf({ redis, prefix }: World): Promise<string[]> {
  const keys: string[] = [];
  for await (const found of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) keys.push(...(found as string[]));
  return keys.sort();
}

/** What a service has that knows BullMQ and the wire contract, and nothing of ours. */
export function plainQueue(world: World, lane: Lane): Queue {
  const queue = new Queue(lane.name, {
    prefix: `${world.prefix}:q:{${lane.tag}}`,
    connection: { url: world.redisUrl },
  });
  queue.on('error', () => {});
  world.defer(() => queue.close());
  return queue;
}

/** A promise with its ends, and whether it was waited for. */
export function gate<T = void>(): { opened: Promise<T>; open: (value: T) => void } {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { code?: string };
  }
  throw new Error('it was accepted');
}

/** Lets at least one millisecond of wall time pass: what ends within one has no order. */
export function tick(): void {
  const now = Date.now();
  while (Date.now() <= now);
}
