// Work that comes round every so often and never twice at once: a beat that finds the last one still under way joins it. What
// it throws is told when that begins, not every time: with Redis away it comes round as well. Stopped means that nothing runs.

import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';

export interface Beat {
  start(): void;
  /** One now, or the one that is under way. */
  once(): Promise<void>;
  stop(): Promise<void>;
}

export interface BeatOptions {
  what: string;
  everyMs: number;
  events: EventHub;
  work: () => Promise<void>;
}

export function createBeat({ what, everyMs, events, work }: BeatOptions): Beat {
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> | undefined;
  let isFailing = false;

  async function beat(): Promise<void> {
    try {
      await work();
      isFailing = false;
    } catch (error) {
      if (!isFailing) events.emit('redis.failing', { what, reason: toError(error).message });
      isFailing = true;
    }
  }

  function once(): Promise<void> {
    underWay ??= beat().finally(() => {
      underWay = undefined;
    });
    return underWay;
  }

  return {
    start() {
      timer = setInterval(once, everyMs);
    },
    once,
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}
