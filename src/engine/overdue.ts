// Notices what should have happened and has not: a job waits longer than its lane allows, one lies beyond its until, a lane has
// work and no pod, a pod fell silent. Any process that knows the lanes may look, one does it for all; each thing is told once
// when it begins and once when it is over.

import { readHeads, readLined } from '../path/heads.ts';
import type { Lane } from '../path/lane.ts';
import { forgetStalePause } from '../path/pause.ts';
import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { type Alarm, type AlarmName, clear, raise, readAlarms } from './alarms.ts';
import type { Beat } from './beat.ts';
import { createGuardedBeat, guardOf } from './guarded-beat.ts';
import { type PodSeen, readPods } from './presence.ts';

const EVERY_MS = 2_000;
/** Beyond its until by more: idle lanes look again within 5 s, a swept job comes back within 2 s more. */
export const OVERPARKED_MS = 10_000;
/** A job that nobody can run waits this long before it is told: a pod that starts takes a second. */
export const UNATTENDED_MS = 3_000;
/** Over only when clearly over: a lane that hovers about its due would be told every beat. */
const CAUGHT_UP = 0.8;

export interface OverdueOptions {
  who: string;
  redis: Redis;
  keys: Keys;
  clock: Clock;
  events: EventHub;
  lanes: readonly { lane: Lane; laneQueue: LaneQueue }[];
}

export function createOverdueWatch(options: OverdueOptions): Beat {
  const { who, redis, keys, events, lanes } = options;
  return createGuardedBeat({
    what: 'watch for what is overdue',
    who,
    redis,
    guard: keys.beat('overdue', guardOf(lanes.map(({ lane }) => lane))),
    everyMs: EVERY_MS,
    events,
    work: () => lookForOverdue(options),
  });
}

/** One look: two O(1) commands a lane and the list of pods, whatever the backlog. */
export async function lookForOverdue({ redis, keys, clock, events, lanes }: OverdueOptions): Promise<void> {
  const [pods, raised, nowAt] = await Promise.all([readPods(redis, keys), readAlarms(redis, keys), redisNow(redis)]);
  const known = new Map(raised.map((alarm) => [`${alarm.name} ${alarm.of}`, alarm]));
  await Promise.all([...lanes.map(lookAtLane), lookAtPods()]);

  async function lookAtLane({ lane, laneQueue }: { lane: Lane; laneQueue: LaneQueue }): Promise<void> {
    const { oldest, late, active, isPaused } = await readHeads(laneQueue, nowAt);
    const running = pods.filter(
      (pod) => pod.isAlive && pod.state === 'running' && pod.lanes.includes(lane.name),
    ).length;
    const ageMs = oldest ? nowAt - oldest.sinceAt : 0;
    const of = lane.name;

    const { dueMs = Number.POSITIVE_INFINITY } = lane;
    const isOverdue = ageMs > dueMs * (known.has(`lane.overdue ${of}`) ? CAUGHT_UP : 1);
    if (!oldest || !isOverdue)
      await end('lane.overdue', of, (forMs) => events.emit('lane.recovered', { lane: of, forMs }));
    else
      await begin({ name: 'lane.overdue', of, ...oldest }, () =>
        events.emit('lane.overdue', { lane: of, job: oldest.job, ageMs, dueMs }),
      );

    // With every slot taken it stands in line like the others, and in a paused lane nobody looks for it.
    const hasRoom = running > 0 && active < running * lane.concurrency && !isPaused;
    const lateMs = late ? nowAt - late.sinceAt : 0;
    if (!late || !hasRoom || lateMs <= OVERPARKED_MS)
      await end('lane.overparked', of, (forMs) => events.emit('lane.unparked', { lane: of, forMs }));
    else
      await begin({ name: 'lane.overparked', of, ...late }, () =>
        events.emit('lane.overparked', { lane: of, job: late.job, lateMs }),
      );

    const waiting = oldest ?? (lane.agent && running === 0 ? await readLined(laneQueue) : undefined);
    const waitsMs = waiting ? nowAt - waiting.sinceAt : 0;
    if (!waiting || running > 0 || isPaused)
      await end('lane.unattended', of, (forMs) => events.emit('lane.attended', { lane: of, forMs }));
    else if (waitsMs > UNATTENDED_MS)
      await begin({ name: 'lane.unattended', of, job: waiting.job, sinceAt: nowAt }, () =>
        events.emit('lane.unattended', { lane: of, job: waiting.job, ageMs: waitsMs }),
      );
    if (!isPaused) await forgetStalePause(laneQueue, keys, clock.now());
  }

  /** A pod that stops says goodbye and is not in the list; one that was killed leaves it after a minute. */
  async function lookAtPods(): Promise<void> {
    for (const pod of pods.filter(({ isAlive }) => !isAlive)) await tellSilent(pod);
    const silent = new Set(pods.filter(({ isAlive }) => !isAlive).map(({ pod }) => pod));
    for (const { name, of } of raised) {
      if (name !== 'pod.silent' || silent.has(of)) continue;
      const isBack = pods.some(({ pod }) => pod === of);
      // Forgotten is not heard: nothing more is told of a pod that never came back.
      await end(name, of, (forMs) => isBack && events.emit('pod.heard', { pod: of, forMs }));
    }
  }

  async function tellSilent({ pod, seenAt, lanes: ran }: PodSeen): Promise<void> {
    await begin({ name: 'pod.silent', of: pod, job: null, sinceAt: seenAt }, () =>
      events.emit('pod.silent', { pod, silentMs: nowAt - seenAt, lanes: ran }),
    );
  }

  /** Dying between the two leaves it untold in the journal; `lanes`, `why` and the gauges show it all the same. */
  async function begin(alarm: Alarm, tell: () => void): Promise<void> {
    if (known.has(`${alarm.name} ${alarm.of}`)) return;
    if (await raise(redis, keys, alarm)) tell();
  }

  async function end(name: AlarmName, of: string, tell: (forMs: number) => void): Promise<void> {
    const alarm = known.get(`${name} ${of}`);
    if (alarm && (await clear(redis, keys, alarm))) tell(Math.max(0, nowAt - alarm.sinceAt));
  }
}
