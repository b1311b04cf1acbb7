// What is published for this process, over one connection whatever the number of channels. A notice may be lost: whoever
// listens also looks by itself from time to time.

import { toError } from '../words/errors.ts';
import { openRedis, type Redis } from './connect.ts';

export interface Notices {
  on(channel: string, listener: (text: string) => void): void;
  stop(): void;
}

/**
 * Connects with the first channel that somebody listens to. `onError` hears of a SUBSCRIBE that Redis refused, and of a text that
 * a listener could not read: anybody may publish, and neither may end the process.
 */
export function openNotices(redisUrl: string, onError: (error: Error) => void = () => {}): Notices {
  const listeners = new Map<string, ((text: string) => void)[]>();
  let redis: Redis | undefined;
  let isStopped = false;

  function subscribe(ears: Redis, channel: string): void {
    ears.subscribe(channel).catch((thrown) => {
      if (isStopped) return;
      const said = `expected to hear ${channel}, got ${toError(thrown).message}`;
      onError(new Error(`${said}; let this user hear it (ACL SETUSER), until then pods look only from time to time`));
    });
  }

  return {
    on(channel, listener) {
      if (!redis) {
        const ears = openRedis(redisUrl, 'blocking');
        redis = ears;
        // When ioredis subscribes again by itself, nobody catches what Redis refuses, and that ends the process.
        ears.options.autoResubscribe = false;
        ears.on('ready', () => {
          for (const each of listeners.keys()) subscribe(ears, each);
        });
        redis.on('message', (from: string, text: string) => {
          for (const each of listeners.get(from) ?? []) {
            try {
              each(text);
            } catch (thrown) {
              const said = `expected a notice on ${from}, got ${text.slice(0, 100)}: ${toError(thrown).message}`;
              onError(new Error(`${said}; it is left out, see who publishes there`));
            }
          }
        });
      }
      listeners.set(channel, [...(listeners.get(channel) ?? []), listener]);
      if (redis.status === 'ready') subscribe(redis, channel);
    },
    stop() {
      isStopped = true;
      redis?.disconnect();
    },
  };
}
