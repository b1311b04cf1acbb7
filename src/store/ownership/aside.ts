// Moves the jobs of displaced owners aside and back, by scripts, a page at a time: 100,000 of them hold Redis for 4 ms at once at the
// most. What a take does with those that run is put into its own script (SET_ASIDE).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Keys } from '../../words/keys.ts';
import { CALENDAR, calendarPrefixes } from '../calendar/calendar.ts';
import type { LaneQueue } from '../lane-queue.ts';
import type { Value } from '../together.ts';

const read = (name: string) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8');

/**
 * Goes before a script that calls `setAside(lane, { as, by }, token)`. The script's last three arguments are `calendarPrefixes`, and
 * all its keys lie on the tag.
 */
export const SET_ASIDE = `${CALENDAR}\n${read('./set-aside.lua')}`;
const SCRIPTS = {
  'park-displaced': read('./park-displaced.lua'),
  'aside-page': read('./aside-page.lua'),
  'come-back': read('./come-back.lua'),
};

/** Of one script: 20 us a job. */
const PAGE = 100;
export const WAITING_SETS = ['wait', 'prioritized', 'delayed'] as const;

/** A lane, and the key of the lease of who may feed it. */
export interface OwnedLane {
  laneQueue: LaneQueue;
  keys: Keys;
  lease: string;
}

export interface Page {
  moved: number;
  /** Looked at, and left where they are. */
  kept: number;
  isLast: boolean;
}

/** Settles a job that its owner's displacement kept from running. 'back': that owner has the lane again, and the job is in its line. */
export async function parkDisplaced(lane: OwnedLane, job: string, lock: string): Promise<'parked' | 'lost' | 'back'> {
  const [what] = (await run('park-displaced', lane, [job, lock])) as ['parked' | 'lost' | 'back'];
  return what;
}

export async function asidePage(lane: OwnedLane, set: (typeof WAITING_SETS)[number], kept: number): Promise<Page> {
  const [moved, left, isLast] = (await run('aside-page', lane, [set, kept, PAGE])) as [number, number, number];
  return { moved, kept: left, isLast: isLast === 1 };
}

/** `all`: in a lane whose jobs run on. `adopt`: whose jobs become the present owner's. */
export interface BackOrder {
  all?: true;
  adopt?: { as: string; by: string | null };
}

/** Undefined: nobody holds the lane, so nobody can adopt. */
export async function backPage(
  lane: OwnedLane,
  kept: number,
  tail: string,
  order: BackOrder = {},
): Promise<(Page & { tail: string }) | undefined> {
  const reply = (await run('come-back', lane, [kept, PAGE, tail, JSON.stringify(order)])) as [
    number | 'free',
    ...Value[],
  ];
  const [moved, left, isLast, last] = reply;
  if (moved === 'free') return undefined;
  return { moved, kept: Number(left), isLast: isLast === 1, tail: String(last) };
}

function run(name: keyof typeof SCRIPTS, { laneQueue, keys, lease }: OwnedLane, given: Value[]): Promise<unknown> {
  const { redis, lane } = laneQueue;
  const command = `lk:ownership:${name}`;
  if (!(command in redis)) redis.defineCommand(command, { numberOfKeys: 1, lua: `${SET_ASIDE}\n${SCRIPTS[name]}` });
  const send = (redis as unknown as Record<string, (...given: Value[]) => Promise<unknown>>)[command];
  return (send as NonNullable<typeof send>).call(
    redis,
    lease,
    lane.name,
    ...given,
    ...calendarPrefixes(keys, lane.tag),
  );
}
