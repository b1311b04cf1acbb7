// Looks at lanes and jobs and changes nothing: counts, lists, one job whole, and why it waits.

import type { JobJson } from 'bullmq';
import type { LaneQueue } from '../store/lane-queue.ts';
import { countStates } from '../store/scripts/count-states.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { FailureClass } from '../words/failure.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { GATES, type Gate } from '../words/outcome.ts';
import { openEnvelope } from './envelope.ts';
import { JOB_STATES, type JobState, SETS_OF_STATE, toState } from './job-state.ts';
import type { Lane } from './lane.ts';
import type { LimitsSeen } from './limit-look.ts';
import { findLimitWait, findParkedWait, type LimitWait, sayLimitWait, untilOf } from './limit-wait.ts';
import { type OwnerWait, sayOwnerWait } from './owner-wait.ts';
import { type PauseSeen, sayPause } from './pause.ts';
import { parseStacks, readStack, type StackFacts } from './stack.ts';
import { sayWindowWait, type WindowWait } from './window-wait.ts';

export interface LaneCounts extends Record<JobState, number> {
  isPaused: boolean;
  /** Of the parked, for each gate; together as many. */
  gates: Record<Gate, number>;
}

/**
 * One command, which costs the same for ten jobs and for a million. Of the delayed, who waits at no gate is scheduled: for its instant, or
 * for its next attempt. A job that somebody took out with another tool is counted at its gate until it would have come.
 */
export async function countJobs({ redis, backend, line, lined, aside, parkedKey }: LaneQueue): Promise<LaneCounts> {
  const seen = await countStates.run(
    redis,
    {
      wait: backend.toKey('wait'),
      prioritized: backend.toKey('prioritized'),
      delayed: backend.toKey('delayed'),
      active: backend.toKey('active'),
      completed: backend.toKey('completed'),
      failed: backend.toKey('failed'),
      meta: backend.toKey('meta'),
      line,
      lined,
      aside,
    },
    { parked: JSON.stringify(GATES.map(parkedKey)) },
  );
  const { isPaused, waiting, delayed, active, done, dead } = seen;
  const gates = Object.fromEntries(GATES.map((gate, place) => [gate, seen.parked[place] ?? 0])) as Record<Gate, number>;
  gates.cooldown += seen.lined;
  gates.owner += seen.aside;
  let parked = 0;
  for (const gate of GATES) {
    // What is not there (any more) waits for nothing.
    gates[gate] = Math.min(gates[gate], delayed - parked);
    parked += gates[gate];
  }
  return { waiting, parked, scheduled: delayed - parked, active, done, dead, isPaused, gates };
}

export interface JobView {
  id: string;
  lane: string;
  state: JobState;
  payload: unknown;
  agent: string | null;
  key: string | null;
  /** '<lane>/<id>' of the job that added it. */
  parent: string | null;
  priority: number;
  attempt: number;
  enqueuedAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  pod: string | null;
  progress: unknown;
  result: unknown;
  /** What it waits for, while parked. */
  gate: string | null;
  untilAt: number | null;
  sinceAt: number | null;
  reason: string | null;
  class: FailureClass | null;
  stacks: (StackFacts & { trace: string })[];
}

/** The newest of a state, at the most `limit`. Scanning for parked or scheduled ones stops after 10,000. */
export async function listJobs(laneQueue: LaneQueue, states: readonly JobState[], limit: number): Promise<JobView[]> {
  const found: JobView[] = [];
  for (const state of states) {
    const wanted = limit - found.length;
    if (wanted <= 0) break;
    found.push(...(await listState(laneQueue, state, wanted)));
  }
  return found;
}

async function listState(laneQueue: LaneQueue, state: JobState, limit: number): Promise<JobView[]> {
  const found: JobView[] = [];
  // What ends is shown newest first, what waits in the order in which it runs.
  const isAscending = state !== 'done' && state !== 'dead';
  for (const set of SETS_OF_STATE[state]) {
    for (let start = 0; found.length < limit && start < 10_000; start += 200) {
      const [ids = []] = (await laneQueue.backend.getRanges([set], start, start + 199, isAscending)) as string[][];
      // BullMQ answers the right page of a list, but in the list's order: new ones come in on the left.
      if (isAscending && (set === 'wait' || set === 'active')) ids.reverse();
      const page = await Promise.all(ids.map((id) => readJob(laneQueue, id, set)));
      for (const job of page) if (job?.state === state && found.length < limit) found.push(job);
      if (ids.length < 200) break;
    }
  }
  return found;
}

export async function showJob(laneQueue: LaneQueue, id: string): Promise<JobView> {
  const job = await readJob(laneQueue, id, await laneQueue.backend.getState(id));
  if (job) return job;
  throw new LanekeeperError('LK_UNKNOWN', `lane ${quote(laneQueue.lane.name)} has no job ${quote(id)} (any more)`);
}

async function readJob(
  { backend, redis, jobKey, lane }: LaneQueue,
  id: string,
  set: string,
): Promise<JobView | undefined> {
  // A name of the queue's own ('wait', 'meta') is in no state: its key is no job to be read.
  if (!toState(set, null)) return undefined;
  const [raw, fields] = await Promise.all([
    backend.getJobData(id),
    redis.hmget(jobKey(id), JOB_FIELDS.gate, JOB_FIELDS.until, JOB_FIELDS.reason, JOB_FIELDS.since),
  ]);
  const [gate, until, reason, since] = fields;
  const state = toState(set, gate);
  return raw && state ? toView(raw, id, lane.name, state, { gate, until, reason, since }) : undefined;
}

type WaitFields = Record<'gate' | 'until' | 'reason' | 'since', string | null | undefined>;

function toView(raw: JobJson, id: string, lane: string, state: JobState, waits: WaitFields): JobView {
  const isWaiting = state === 'parked' || state === 'scheduled';
  const stacks = parseStacks(raw.stacktrace).flatMap((text) => readStack(text) ?? []);
  const { payload, agent, key, parent } = openEnvelope(raw.data);
  const scheduledAt = raw.timestamp + (raw.delay ?? 0);
  return {
    id,
    lane,
    state,
    payload,
    agent,
    key,
    parent,
    priority: raw.priority ?? 0,
    attempt: state === 'done' || state === 'dead' ? raw.attemptsMade : raw.attemptsMade + 1,
    enqueuedAt: raw.timestamp,
    startedAt: raw.processedOn ?? null,
    finishedAt: raw.finishedOn ?? null,
    pod: raw.processedBy ?? null,
    progress: raw.progress,
    result: raw.returnvalue === undefined ? null : parseOr(raw.returnvalue),
    gate: state === 'parked' ? (waits.gate ?? null) : null,
    // Nobody knows when its owner holds the lane again.
    untilAt: isWaiting && waits.gate !== 'owner' ? (waits.until ? Number(waits.until) : scheduledAt) : null,
    sinceAt: isWaiting ? (waits.since ? Number(waits.since) : raw.timestamp) : null,
    reason: state === 'dead' ? raw.failedReason : isWaiting ? waits.reason || null : null,
    class: state === 'dead' ? (stacks.at(-1)?.class ?? null) : null,
    stacks,
  };
}

function parseOr(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

export interface Why {
  lane: string;
  job: string;
  state: JobState;
  gate: string | null;
  /** Epoch ms, or null when nobody can know. */
  untilAt: number | null;
  sinceAt: number | null;
  /** 1 = next; null when it does not stand in line. */
  place: number | null;
  /** One sentence with the value that decided. */
  because: string;
  /** Of a paused lane: by whom and why; null when nobody knows. */
  pause?: PauseSeen;
  /** An order that its pod has not carried out yet. */
  cancel?: CancelAsked;
  /** What is wrong with its lane now, one line each. */
  alarms?: string[];
  /** Of a job that waits for permits of its upstream's limits: what is in use by whom, what holds, who waits before. */
  limit?: LimitWait;
  /** Of a job that waits for an agent's window: which opens next and when, and how many go before it. */
  window?: WindowWait;
  /** Of a job whose owner was displaced: for whom it waits, and who has the lane. */
  owner?: OwnerWait;
}

interface CancelAsked {
  who: string;
  reason: string | null;
  orderedAt: number;
}

/** What stands beside the queue and bears on its jobs. */
export interface Standing {
  pause?: PauseSeen;
  cancel?: CancelAsked;
  alarms?: string[];
  /** Its upstream's, while the job waits. */
  limits?: LimitsSeen;
  /** Of the agent it waits for, while it does. */
  window?: WindowWait | undefined;
  /** Of whom it waits for at the gate `owner`. */
  owner?: OwnerWait | undefined;
}

/** Why is this job where it is, and until when? `pods` is how many run its lane now. */
export async function explainJob(
  laneQueue: LaneQueue,
  lane: Lane,
  id: string,
  pods: number,
  readStanding: (job: JobView) => Promise<Standing> = async () => ({}),
): Promise<Why> {
  const job = await showJob(laneQueue, id);
  const { pause, cancel, alarms, limits, window, owner } = await readStanding(job);
  const base = {
    lane: job.lane,
    job: id,
    state: job.state,
    gate: job.gate,
    untilAt: job.untilAt,
    sinceAt: job.sinceAt,
    place: null,
    ...(pause === undefined ? {} : { pause }),
    ...(cancel === undefined
      ? {}
      : { cancel: { who: cancel.who, reason: cancel.reason, orderedAt: cancel.orderedAt } }),
    ...(alarms === undefined || alarms.length === 0 ? {} : { alarms }),
  };
  switch (job.state) {
    case 'waiting': {
      const [place, counts] = await Promise.all([placeInLine(laneQueue, id), countJobs(laneQueue)]);
      const waits = { ...base, place, sinceAt: job.enqueuedAt };
      if (counts.isPaused) return { ...waits, gate: 'pause', because: sayPaused(pause) };
      if (pods === 0) return { ...waits, because: NO_POD };
      const limit = limits && findLimitWait(limits, lane);
      if (limits && limit)
        return {
          ...waits,
          gate: 'limit',
          untilAt: untilOf(limit),
          because: sayLimitWait(limits, limit, lane, place),
          limit,
        };
      const ahead = place === null ? '' : `, ${place - 1} ahead of it`;
      return {
        ...waits,
        because: `${counts.active} of ${lane.concurrency * pods} slots of its ${pods} pods are taken${ahead}`,
      };
    }
    case 'parked':
    case 'scheduled': {
      if (window && job.gate === 'cooldown') {
        const { place, untilAt } = window;
        const waits = { ...base, place, window };
        if ((await countJobs(laneQueue)).isPaused)
          return { ...waits, gate: 'pause', untilAt: null, because: sayPaused(pause) };
        const nobody = pods === 0 ? `; ${NO_POD}` : '';
        return { ...waits, untilAt, because: `${sayWindowWait(window)}${nobody}` };
      }
      if (owner && job.gate === 'owner') {
        return { ...base, place: owner.place, because: sayOwnerWait(job.lane, owner), owner };
      }
      const because = job.reason ?? 'it was added for that instant';
      if (!limits || job.gate !== 'limit') return { ...base, because };
      const limit = findParkedWait(limits);
      const now = sayLimitWait(limits, limit, lane, null);
      return { ...base, because: now === '' ? because : `${because}; now ${now}`, limit };
    }
    case 'active':
      return {
        ...base,
        sinceAt: job.startedAt,
        because: `attempt ${job.attempt} of ${lane.retry.attempts} runs on ${job.pod}${
          cancel ? `; ${cancel.who} has ordered to cancel it, its pod has not done so yet` : ''
        }`,
      };
    case 'done':
      return { ...base, sinceAt: job.finishedAt, because: `attempt ${job.attempt} ended it` };
    case 'dead':
      return { ...base, sinceAt: job.finishedAt, because: `${job.class ?? 'failed'}: ${job.reason}` };
  }
}

const NO_POD = 'no running pod has this lane';

function sayPaused(pause: PauseSeen | undefined): string {
  return pause === undefined ? 'the lane is paused' : sayPause(pause);
}

/** Wait list: fetched from its right end, all of it before the prioritized set. */
async function placeInLine({ backend, redis, queue }: LaneQueue, id: string): Promise<number | null> {
  const wait = backend.toKey('wait');
  const [position, length, rank] = await Promise.all([
    redis.lpos(wait, id, 'RANK', -1),
    redis.llen(wait),
    redis.zrank(queue.toKey('prioritized'), id),
  ]);
  if (position !== null) return length - position;
  return rank === null ? null : length + rank + 1;
}

export function isJobState(value: string): value is JobState {
  return (JOB_STATES as readonly string[]).includes(value);
}
