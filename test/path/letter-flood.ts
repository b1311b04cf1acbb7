// Buries letters by the thousand in BullMQ's own layout, without a pod: what a lane looks like after a bad night.

import { appendStack } from '../../src/path/stack.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import type { FailureClass } from '../../src/words/failure.ts';

export interface Flood {
  count: number;
  /** Of the letter with this number; all transient unless said otherwise. */
  ofClass?: (n: number) => FailureClass;
  /** Epoch ms of its death; one a millisecond, the last a minute ago, unless said otherwise. */
  diedAt?: (n: number) => number;
  /** Characters of its payload. */
  size?: number;
}

export const letterId = (n: number) => `j${String(n).padStart(15, '0')}`;

export async function bury(laneQueue: LaneQueue, flood: Flood): Promise<void> {
  const { redis, backend, jobKey } = laneQueue;
  const { count, ofClass = () => 'transient', size = 100 } = flood;
  const lastAt = Date.now() - 60_000;
  const diedAt = flood.diedAt ?? ((n: number) => lastAt - count + n);
  const failed = backend.toKey('failed');
  const filling = 'x'.repeat(size);
  for (let start = 0; start < count; start += 1_000) {
    const pipeline = redis.pipeline();
    for (let n = start; n < Math.min(count, start + 1_000); n++) {
      const id = letterId(n);
      const at = diedAt(n);
      const facts = { class: ofClass(n), attempt: 2, attempts: 2, pod: 'pod-1', agent: 'a01', at };
      const error = { message: `no ${n}`, stack: `Error: no ${n}\n    at run (worker.ts:1:1)` } as Error;
      pipeline.hset(jobKey(id), {
        name: 'job',
        data: JSON.stringify({
          lk: 1,
          payload: { n, filling, createdAt: 1_700_000_000_000 },
          agent: 'a01',
          key: `k-${n}`,
        }),
        opts: '{"attempts":2}',
        timestamp: at - 1_000,
        delay: 0,
        priority: 0,
        processedOn: at - 10,
        finishedOn: at,
        failedReason: `no ${n}`,
        atm: 2,
        ats: 2,
        stacktrace: appendStack(undefined, facts, error),
      });
      pipeline.zadd(failed, at, id);
    }
    await pipeline.exec();
  }
}
