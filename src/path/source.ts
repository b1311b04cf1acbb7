// Decides when a lane fetches. A job is fetched only when the lane and the pod have room for it, by BullMQ's own script;
// while there is work, the settle of one job brings the next in the same round trip. Idle, the lane listens to the bell. Where the
// upstream has limits, its permit comes first: so order is kept, and nothing sits active without one.

import type { Bell } from '../store/bell.ts';
import { type Fetched, type FetchedJob, type LaneQueue, returnJob, toFetched } from '../store/lane-queue.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import type { AgentLane, FetchedAct } from './agent-desk.ts';
import type { AgentHold } from './agent-hold.ts';
import type { HeldPermit } from './held-permit.ts';
import type { LaneDesk } from './lane-desk.ts';
import type { Slots } from './slots.ts';
import type { Turn } from './turn.ts';

/** Runs one job to its settle. Resolves with what the settle fetched, if it was to fetch and did. */
export type RunJob = (
  job: FetchedJob,
  token: string,
  fetchedMonoAt: number,
  wantsNext: () => boolean,
  permit: HeldPermit | undefined,
  hold?: AgentHold,
) => Promise<Fetched | undefined>;

export interface SourceOptions {
  pod: string;
  laneQueue: LaneQueue;
  concurrency: number;
  slots: Slots;
  /** For a lane whose upstream has limits: a job is fetched only with its permit in hand. */
  permits: LaneDesk | undefined;
  /** For a lane with agents: a job is fetched only together with the one that does it. */
  agents: AgentLane | undefined;
  /** For a lane with `pods: 'one'`: this pod fetches only while it is the one. */
  turn?: Turn | undefined;
  bell: Bell;
  run: RunJob;
  clock: Clock;
  events: EventHub;
}

export interface Source {
  start(): void;
  /** Its turn came or went. */
  turned(): void;
  /** Fetches nothing more. Resolves when nothing it fetched runs any more; what had not begun is back in its line. */
  stop(): Promise<void>;
}

const NOTHING: Fetched = { job: undefined, nextAt: 0 };
/** After a fetch that Redis refused (out of memory, say): a pod must not spin on it 4,000 times a second. */
const REFUSED_PAUSE_MS = 1_000;
/** setTimeout fires at once above this. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export function createSource(options: SourceOptions): Source {
  const { pod, laneQueue, concurrency, slots, permits, agents, turn, bell, run, clock, events } = options;
  const { name } = laneQueue.lane;
  let running = 0;
  let starts = 0;
  const working = new Set<Promise<void>>();
  let isStopping = false;
  let feeding: Promise<void> | undefined;
  let isAskedAgain = false;
  let alarm: NodeJS.Timeout | undefined;
  let refusedUntil = Number.NEGATIVE_INFINITY;
  /** It was called while it was full: whoever ends looks again. */
  let isMissed = false;
  const isOurs = () => turn?.isOurs ?? true;
  agents?.onWake(() => void feed());

  function feed(): Promise<void> {
    if (feeding) isAskedAgain = true;
    feeding ??= keepFetching();
    return feeding;
  }

  /** A slot may become free, or the bell ring, just as the last look ends: then it looks once more. */
  async function keepFetching(): Promise<void> {
    do {
      isAskedAgain = false;
      await fetchUntilIdleOrFull();
    } while (isAskedAgain && !isStopping);
    feeding = undefined;
  }

  async function fetchUntilIdleOrFull(): Promise<void> {
    isMissed = running >= concurrency;
    while (!isStopping && isOurs() && running < concurrency) {
      // Whoever ends meanwhile asks for more: 64 attempts that lose their locks together would ask 64 times.
      if (clock.mono() < refusedUntil) return wakeIn(refusedUntil - clock.mono());
      if (!slots.tryTake()) {
        permits?.rest();
        return slots.whenFree(name, feed);
      }
      let permit = permits?.tryTake(concurrency - running, feed);
      if (permits && !permit) {
        // The pod's slot is kept for this one round trip: given back, another lane would have it whenever the permit comes.
        await permits.answered();
        permit = permits.takeInHand();
        if (!permit || isStopping) {
          permit?.giveBack();
          return slots.giveBack();
        }
      }
      const token = `${pod}:${starts++}`;
      const askedAt = clock.mono();
      let fetched: Fetched & Partial<FetchedAct>;
      try {
        fetched = agents
          ? ((await agents.fetch(laneQueue, token)) ?? NOTHING)
          : toFetched(await laneQueue.backend.moveToActive(token, pod));
      } catch (error) {
        permit?.giveBack();
        slots.giveBack();
        events.emit('redis.failing', { what: `fetch from ${name}`, reason: toError(error).message });
        refusedUntil = clock.mono() + REFUSED_PAUSE_MS;
        return wakeIn(REFUSED_PAUSE_MS);
      }
      if (!fetched.job) {
        permit?.giveBack();
        slots.giveBack();
        idleUntil(fetched.nextAt);
        return;
      }
      running++;
      const ended = work(fetched.job, token, askedAt, permit, fetched.hold).finally(() => working.delete(ended));
      working.add(ended);
      if (agents && !fetched.hasMore) return idleUntil(0);
    }
  }

  async function work(
    first: FetchedJob,
    token: string,
    askedAt: number,
    permit: HeldPermit | undefined,
    hold: AgentHold | undefined,
  ): Promise<void> {
    let next: Fetched | undefined = { job: first, nextAt: 0 };
    let fetchedMonoAt = askedAt;
    const wantsNext = () => {
      fetchedMonoAt = clock.mono(); // the next job's lock counts from before it was asked for
      return !agents && !isStopping && isOurs() && !slots.wantedByAnother(name) && (permit?.renew() ?? true);
    };
    try {
      while (next?.job && !isStopping && isOurs())
        next = await run(next.job, token, fetchedMonoAt, wantsNext, permit, hold);
      // It came with a fetch or a settle that was sent before the pod was told to leave, or before its turn was over.
      if (next?.job) await (hold ? hold.handBack(laneQueue, next.job, token) : returnJob(laneQueue, next.job, token));
    } catch (error) {
      // Nothing here should throw. If it does, the job's lock runs out and a pod runs it again: the lane goes on.
      events.emit('redis.failing', { what: `run a job of ${name}`, reason: toError(error).message });
      next = undefined;
    }
    running--;
    permit?.giveBack();
    slots.giveBack();
    if (isStopping) return;
    if (agents) {
      if (isMissed) void feed();
      return;
    }
    // An empty answer came with the next delayed instant; no answer means that nobody asked.
    if (next && running < concurrency) idleUntil(next.nextAt);
    else void feed();
  }

  function idleUntil(dueAt: number): void {
    permits?.rest();
    if (isStopping || !isOurs()) return;
    if (dueAt > 0) wakeIn(dueAt - clock.now());
    bell.listen(laneQueue.marker, (rungFor) => {
      if (rungFor <= clock.now()) return feed();
      idleUntil(rungFor);
    });
  }

  function wakeIn(ms: number): void {
    clearTimeout(alarm);
    alarm = setTimeout(feed, Math.min(Math.max(0, Math.ceil(ms)), MAX_TIMER_MS));
  }

  return {
    start: () => void feed(),
    turned() {
      if (isOurs()) return void feed();
      // A bell that rings here would be heard by nobody who may fetch.
      bell.mute(laneQueue.marker);
      clearTimeout(alarm);
      permits?.rest();
    },
    async stop() {
      isStopping = true;
      clearTimeout(alarm);
      bell.mute(laneQueue.marker);
      await feeding;
      await Promise.all(working);
    },
  };
}
