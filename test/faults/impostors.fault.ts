// Impostors among work: whatever BullMQ's scripts drop when they break off on one, every job that was accepted ends.

import { expect, vi } from 'vitest';
import { defineLane, handle } from '../../src/index.ts';
import { RESERVED_NAMES } from '../../src/store/reserved-names.ts';
import { it } from '../support/world.ts';

const lane = defineLane({ name: 'rough', concurrency: 4, retry: { attempts: 3, backoff: [50], jitter: 0 } });
/** A lock of a job whose fetch broke off runs out after 20 s. */
const SLOW = { timeout: 50_000, interval: 100 };

it.for([...RESERVED_NAMES, 'meta'])(
  'every job that a lane accepted beside the impostor %s ends',
  async (name, { world }) => {
    const queue = world.queue(lane);
    const runs = new Map<unknown, number>();
    const run = ({ payload }: { payload: unknown }) => {
      const times = (runs.get(payload) ?? 0) + 1;
      runs.set(payload, times);
      if (times === 1 && typeof payload === 'number' && payload % 3 === 0) throw new Error('again');
      return payload;
    };
    for (let n = 0; n < 2; n++) await world.pod([handle(lane, { run })]);
    const accepted: string[] = [];
    const add = async (n: number) => {
      const opts = n % 4 === 1 ? { priority: n % 3 } : n % 4 === 2 ? { delay: n * 20 } : {};
      const job = await queue.queue.add('n', n, opts).catch(() => undefined);
      if (job) accepted.push(job.id as string);
    };
    // Before anything else, where it does the most harm.
    await queue.queue.add('n', 'impostor', { jobId: name }).catch(() => undefined);
    for (let n = 0; n < 60; n++) {
      await add(n);
      if (n % 20 === 0) await queue.queue.add('n', 'impostor', { jobId: name, delay: 30 }).catch(() => undefined);
    }
    await vi.waitFor(async () => {
      // Also what was added though its add failed.
      expect(await queue.backend.getCounts(['wait', 'prioritized', 'delayed', 'active'])).toEqual([0, 0, 0, 0]);
      for (const id of accepted) {
        if (id !== name) expect(await queue.backend.getState(id), `job ${id}`).toBe('completed');
      }
    }, SLOW);
  },
);
