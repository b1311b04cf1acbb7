// Finds jobs that a plain producer gave an id which is a name of the queue's own (`wait`, `marker`, …), by the type of the
// queue's keys, and buries them, so that the lane works again. What BullMQ's scripts dropped when they broke off on such a key
// is put back: a fetch that promotes delayed jobs takes them out of one set before it fails on the other.

import { openEnvelope } from '../path/envelope.ts';
import { newJobId } from '../path/job-id.ts';
import { appendStack } from '../path/stack.ts';
import type { Redis } from '../store/connect.ts';
import { type LaneQueue, SWEEP_MS } from '../store/lane-queue.ts';
import { RESERVED_NAMES, type ReservedName } from '../store/reserved-names.ts';
import { buryImpostor } from '../store/scripts/bury-impostor.ts';
import { findImpostors } from '../store/scripts/find-impostors.ts';
import { returnOrphan } from '../store/scripts/return-orphan.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';

export interface ImpostorOptions {
  pod: string;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

/** Two seconds: as often as lost locks are looked for. An impostor stops its lane for so long. */
const EVERY_MS = SWEEP_MS;

export function createImpostorSweep(redis: Redis, laneQueues: readonly LaneQueue[], options: ImpostorOptions): Beat {
  return createGuardedBeat({
    what: 'sweep for impostors',
    who: options.pod,
    redis,
    guard: options.keys.beat('impostors', guardOf(laneQueues.map(({ lane }) => lane))),
    everyMs: EVERY_MS,
    events: options.events,
    async work() {
      await Promise.all(laneQueues.map((laneQueue) => buryImpostors(laneQueue, options)));
    },
  });
}

/** One command a lane; everything else only when something was found. */
export async function buryImpostors(laneQueue: LaneQueue, options: ImpostorOptions): Promise<void> {
  const { redis, backend, lane } = laneQueue;
  const own = Object.fromEntries(RESERVED_NAMES.map((name) => [name, backend.toKey(name)]));
  const { found, hasOrphans } = await findImpostors.run(
    redis,
    { ...(own as Record<ReservedName, string>), meta: backend.toKey('meta'), orphans: options.keys.orphans(lane) },
    {},
  );
  for (const name of found) await bury(laneQueue, name, options);
  if (found.length > 0 || hasOrphans) await returnOrphans(laneQueue, options);
}

async function bury(laneQueue: LaneQueue, name: ReservedName, { pod, keys, clock, events }: ImpostorOptions) {
  const { redis, backend, jobKey, lane } = laneQueue;
  const at = clock.now();
  const id = newJobId(at);
  const raw: Partial<Record<string, string>> = await redis.hgetall(jobKey(name)).catch(() => ({}));
  const reason = `its id '${name}' is a name of the queue's own: expected no jobId or another, got one that stops the lane`;
  const error = new Error(reason);
  error.stack = `Error: ${reason}`;
  const facts = {
    class: 'refused',
    attempt: 1,
    attempts: 1,
    pod,
    agent: openEnvelope(raw.data ?? 'null').agent,
    at,
  } as const;
  const { was } = await buryImpostor.run(
    redis,
    {
      own: jobKey(name),
      letter: jobKey(id),
      lock: `${jobKey(name)}:lock`,
      ...setsOf(laneQueue),
      stalled: backend.toKey('stalled'),
      orphans: keys.orphans(lane),
      // BullMQ would take every later job of that deduplication id for a repetition of this one.
      dedupe: backend.toKey(`de:${raw.deid ?? ''}`),
    },
    { name, id, reason, stacks: appendStack(raw.stacktrace, facts, error), at },
  );
  // Undefined: another pod was faster. One that had ended is only moved out of the way.
  if (was === undefined || was === 'done' || was === 'dead') return;
  events.emit('job.buried', { lane: lane.name, job: id, class: 'refused', reason, was });
}

/**
 * Looks at every key of the lane once: only after an impostor, so it may cost what it costs (1 s for a million jobs). The mark
 * goes last: dying on the way makes the next sweep look again.
 */
async function returnOrphans(laneQueue: LaneQueue, { keys, clock, events }: ImpostorOptions) {
  const { redis, backend, jobKey, lane } = laneQueue;
  const start = backend.toKey('');
  const reserved = new Set<string>([...RESERVED_NAMES, 'meta']);
  const mark = keys.orphans(lane);
  const markedAt = await redis.get(mark);
  const sets = setsOf(laneQueue);
  // Looking for each waiting job in the list would take the square of the backlog. What comes in meanwhile stands at its head.
  const waiting = new Set<string>();
  for (let from = 0, page = ['']; page.length > 0; from += 5_000) {
    page = await redis.lrange(sets.wait, from, from + 4_999);
    for (const id of page) waiting.add(id);
  }
  for (let cursor = '0', isOver = false; !isOver; isOver = cursor === '0') {
    const [next, found] = await redis.scan(cursor, 'MATCH', `${escapeGlob(start)}*`, 'COUNT', 1_000, 'TYPE', 'hash');
    cursor = next;
    const ids = found.map((key) => key.slice(start.length)).filter((id) => !reserved.has(id) && !waiting.has(id));
    await Promise.all(
      ids.map(async (id) => {
        const isReturned = await returnOrphan.run(
          redis,
          { job: jobKey(id), ...sets, lock: `${jobKey(id)}:lock` },
          { id, at: clock.now() },
        );
        if (isReturned)
          events.emit('job.recovered', { lane: lane.name, job: id, reason: 'it lay in no set of its lane' });
      }),
    );
  }
  // A mark of a later burial stays.
  if (markedAt !== null && markedAt === (await redis.get(mark))) await redis.del(mark);
}

/** The sets in which a job of the lane can lie, and the bell. */
function setsOf({ backend, marker }: LaneQueue) {
  return {
    wait: backend.toKey('wait'),
    active: backend.toKey('active'),
    delayed: backend.toKey('delayed'),
    prioritized: backend.toKey('prioritized'),
    children: backend.toKey('waiting-children'),
    completed: backend.toKey('completed'),
    failed: backend.toKey('failed'),
    marker,
  };
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}
