// Ends the attempts of displaced owners in this pod: at once when the take says so, and by a look at their locks once a second, for a
// notice may be lost. Whatever such an attempt came to, its settle would be refused: here it is told to stop before it does more.

import type { Attempt } from '../path/attempt.ts';
import { attemptOver } from '../path/request.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Notices } from '../store/notices.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { sayOwner } from '../words/owner.ts';
import { type Beat, createBeat } from './beat.ts';

const LOOK_MS = 1_000;

/** What the script of a take publishes (store/ownership/set-aside.lua): each job with the lock that its attempt had. */
interface Told {
  kind: string;
  lane: string;
  as: string;
  by: string;
  jobs?: [job: string, lock: string][];
}

export interface DisplacedOptions {
  attempts: ReadonlySet<Attempt>;
  queueOf: (lane: string) => LaneQueue;
  /** Of the exclusive lanes this pod runs. */
  tags: ReadonlySet<string>;
  notices: Notices;
  keys: Keys;
  events: EventHub;
}

export function createDisplacedWatch({ attempts, queueOf, tags, notices, keys, events }: DisplacedOptions): Beat {
  for (const tag of tags) notices.on(keys.ownerNotice(tag), (text) => hear(JSON.parse(text) as Told));

  function hear({ kind, lane, as, by, jobs = [] }: Told): void {
    if (kind !== 'displaced') return;
    const locks = new Map(jobs);
    for (const attempt of attempts) {
      if (attempt.lane.name === lane && locks.get(attempt.id) === attempt.token) {
        fence(attempt, `${sayOwner({ as, by })} took its lane`);
      }
    }
  }

  async function look(): Promise<void> {
    const running = [...attempts].filter(
      ({ lane, ended, isSettling }) => lane.ownership === 'exclusive' && !ended && !isSettling,
    );
    await Promise.all(
      [...new Set(running.map(({ lane }) => lane.name))].map(async (name) => {
        const ours = running.filter(({ lane }) => lane.name === name);
        const { redis, jobKey } = queueOf(name);
        const locks = await redis.mget(ours.map(({ id }) => `${jobKey(id)}:lock`));
        for (const [place, attempt] of ours.entries()) {
          if (locks[place] !== attempt.token && !attempt.isSettling) fence(attempt, 'its lock was taken away');
        }
      }),
    );
  }

  function fence(attempt: Attempt, why: string): void {
    attempt.end('fenced', attemptOver(attempt, why));
  }

  return createBeat({ what: 'look for displaced attempts', everyMs: LOOK_MS, events, work: look });
}
