// What is published for this process, over one connection whatever the number of channels. A notice may be lost: whoever
// listens also looks by itself from time to time.

import { openRedis, type Redis } from './connect.ts';

export interface Notices {
  on(channel: string, listener: (text: string) => void): void;
  stop(): void;
}

/** Connects with the first channel that somebody listens to. */
export function openNotices(redisUrl: string): Notices {
  const listeners = new Map<string, ((text: string) => void)[]>();
  let redis: Redis | undefined;
  return {
    on(channel, listener) {
      if (!redis) {
        redis = openRedis(redisUrl, 'blocking');
        redis.on('message', (from: string, text: string) => {
          for (const each of listeners.get(from) ?? []) each(text);
        });
      }
      listeners.set(channel, [...(listeners.get(channel) ?? []), listener]);
      // ioredis subscribes again by itself when it was disconnected.
      redis.subscribe(channel).catch(() => {});
    },
    stop() {
      redis?.disconnect();
    },
  };
}
