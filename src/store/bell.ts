// One blocked connection per pod listens for work on all its idle lanes. BullMQ's Worker blocks one connection per lane:
// 200 lanes x 16 pods would be 3,200. A lane listens for one ring at a time; to join while the connection is blocked, the
// pod rings its own key, which cannot be missed as an unblock sent a moment too early can.

import type { Redis } from './connect.ts';

/** A marker popped by a pod that died before fetching is lost; every idle lane looks again this often. */
const LOOK_AGAIN_S = 5;
const RING_KEY_TTL_S = 60;
const AWAY_PAUSE_MS = 100;
/** To pop is to write: while its disk is full Redis refuses it at once, and a pod must not ask ten times a second. */
const REFUSED_PAUSE_MS = 1_000;

/** Answered when there may be work; `dueAt` is 0 for now, or the instant of the earliest delayed job. */
export type RingListener = (dueAt: number) => Promise<void> | void;

export interface Bell {
  listen(marker: string, listener: RingListener): void;
  mute(marker: string): void;
  stop(): Promise<void>;
}

export function createBell(blocking: Redis, commands: Redis, ringKey: string): Bell {
  const listening = new Map<string, RingListener>();
  let isBlocked = false;
  let isStopped = false;
  let wake: (() => void) | undefined;
  let stopPause: (() => void) | undefined;

  async function loop(): Promise<void> {
    while (!isStopped) {
      if (listening.size === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      isBlocked = true;
      const reply = await blocking.bzpopmin(...listening.keys(), ringKey, LOOK_AGAIN_S).catch(toPauseMs);
      isBlocked = false;
      if (typeof reply === 'number') await pause(reply);
      else if (reply === null) await ringAll();
      else if (reply[0] !== ringKey) await ring(reply[0], Number(reply[2]));
    }
  }

  async function ring(marker: string, dueAt: number): Promise<void> {
    const listener = listening.get(marker);
    listening.delete(marker);
    if (listener) await listener(dueAt);
    // The lane filled up meanwhile: pass the ring on to another pod.
    else if (!isStopped) await commands.zadd(marker, dueAt, dueAt === 0 ? '0' : '1').catch(() => {});
  }

  async function ringAll(): Promise<void> {
    const due = [...listening.values()];
    listening.clear();
    await Promise.all(due.map((listener) => listener(0)));
  }

  function toPauseMs(error: Error): number {
    return error.name === 'ReplyError' ? REFUSED_PAUSE_MS : AWAY_PAUSE_MS;
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
      if (isStopped) resolve();
      stopPause = resolve;
    });
  }

  const running = loop();
  return {
    listen(marker, listener) {
      if (isStopped) return;
      const isHeard = listening.has(marker);
      listening.set(marker, listener);
      wake?.();
      wake = undefined;
      if (isBlocked && !isHeard) {
        commands
          .pipeline()
          .zadd(ringKey, 0, '0')
          .expire(ringKey, RING_KEY_TTL_S)
          .exec()
          .catch(() => {});
      }
    },
    mute(marker) {
      listening.delete(marker);
    },
    async stop() {
      isStopped = true;
      listening.clear();
      wake?.();
      stopPause?.();
      blocking.disconnect();
      await running;
    },
  };
}
