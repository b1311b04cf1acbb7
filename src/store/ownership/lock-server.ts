// One lock server as it is asked: within a bounded time, whether it is down, frozen or slow. It says yes or no, or nothing.

import type { Keys } from '../../words/keys.ts';
import { openRedis } from '../connect.ts';
import { OwnerRecord } from './owner-record.ts';

export interface LockServer {
  readonly url: string;
  /** Rejects when it has not answered in time. What was sent may still be carried out, after whatever was sent before it. */
  ask<T>(move: (record: OwnerRecord) => Promise<T>, withinMs: number): Promise<T>;
  close(): void;
}

export function openLockServer(url: string, keys: Keys, abstainMs: number): LockServer {
  const redis = openRedis(url, 'producer');
  const record = new OwnerRecord({ redis, keys, abstainMs });
  const ready = () =>
    redis.status === 'ready' ? Promise.resolve() : new Promise<void>((resolve) => redis.once('ready', () => resolve()));
  return {
    url,
    async ask(move, withinMs) {
      let timer: NodeJS.Timeout | undefined;
      let isLate = false;
      const late = new Promise<never>((_, refuse) => {
        timer = setTimeout(() => {
          isLate = true;
          refuse(new Error(`no answer within ${withinMs} ms`));
        }, withinMs);
      });
      // What has not been sent by then is not sent any more.
      const answer = ready().then(() => (isLate ? late : move(record)));
      answer.catch(() => {});
      try {
        return await Promise.race([answer, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => redis.disconnect(),
  };
}
