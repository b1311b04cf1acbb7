// Ends the attempts of displaced owners in this pod: at once when the take says so, and by a look at their locks once a second, for a
// notice may be lost. Whatever such an attempt came to, its settle would be refused: here it is told to stop before it does more.

import type { Attempt } from '../path/attempt.ts';
import type { Lane } from '../path/lane.ts';
import { attemptOver } from '../path/request.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Notices } from '../store/notices.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { sayOwner } from '../words/owner.ts';
import { type Beat, createBeat } from './beat.ts';

const LOOK_MS = 1_000;

/** What the script of a take publishes: whom it stopped, each with the lock that its attempt had. `isMany`: too many to name. */
interface Told {
  kind: string;
  as: string;
  by: string;
  isMany?: true;
  jobs?: [lane: string, job: string, lock: string][];
}

export interface DisplacedOptions {
  attempts: ReadonlySet<Attempt>;
  /** Exclusive ones. */
  lanes: readonly { lane: Lane; laneQueue: LaneQueue }[];
  notices: Notices;
  keys: Keys;
  events: EventHub;
}

export function createDisplacedWatch({ attempts, lanes, notices, keys, events }: DisplacedOptions): Beat {
  for (const tag of new Set(lanes.map(({ lane }) => lane.tag)))
    notices.on(keys.ownerNotice(tag), (text) => hear(JSON.parse(text) as Told));

  function hear({ kind, as, by, isMany, jobs = [] }: Told): void {
    if (kind !== 'taken') return;
    // Not the beat, which may be under way since before the take. If it fails, the next beat looks.
    if (isMany) return void look().catch(() => {});
    const locks = new Map(jobs.map(([lane, job, lock]) => [`${lane}/${job}`, lock]));
    for (const attempt of attempts) {
      if (locks.get(`${attempt.lane.name}/${attempt.id}`) === attempt.token) {
        fence(attempt, `${sayOwner({ as, by })} took its lane`);
      }
    }
  }

  async function look(): Promise<void> {
    const running = [...attempts].filter(({ ended, isSettling }) => !ended && !isSettling);
    await Promise.all(
      lanes.map(async ({ lane: { name }, laneQueue: { redis, jobKey } }) => {
        const ours = running.filter(({ lane }) => lane.name === name);
        if (ours.length === 0) return;
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
