// The one catalogue of what happens. Logs, metrics and the journal subscribe to it; the code that does the work knows none
// of them, and a listener that throws hurts nobody else.

import type { LogLevel } from './config.ts';
import type { FailureClass } from './failure.ts';
import type { LimitDriverName } from './limit.ts';
import type { Gate } from './outcome.ts';

interface JobRef {
  lane: string;
  job: string;
}

/** Of an order whose change is BullMQ's: `found` when it was told by a pod that looked, because who gave it died. */
interface Audited {
  reason: string | null;
  intent?: string;
  found?: string;
}

interface LettersRef {
  lane: string;
  operation: string;
  class: FailureClass | null;
  reason: string | null;
}

interface LettersEnd {
  count: number;
  /** Somebody else replayed or dropped them meanwhile. */
  skipped: number;
  isStopped: boolean;
}

interface DisplacedRef {
  lane: string;
  operation: string;
  /** Whose: `by` null for everybody's of that name. */
  of: { as: string; by: string | null };
  reason: string;
}

/** `isStopped`: before all were looked at. `found`: of one whose giver died, by the pod that looked. */
interface DisplacedEnd {
  count: number;
  isStopped: boolean;
  found?: string;
}

/** `lane` is the one that was named, `lanes` all that have this owner together; `token` is text: Lua writes it. */
interface OwnerRef {
  lane: string;
  lanes: string[];
  as: string;
  by: string;
  reason: string;
  token: string;
  sinceAt: number;
  untilAt: number;
}

interface LimitOrdered {
  upstream: string;
  limit: string;
  reason: string;
  before: number | null;
  defined: number | null;
}

export interface Events {
  'attempt.started': JobRef & { attempt: number; start: number; agent: string | null; waitedMs: number };
  /** A busy lane writes 20,000 of these a second: what does not apply is left out. */
  'attempt.finished': JobRef & {
    attempt: number;
    outcome: 'done' | 'retry' | 'park' | 'dead';
    durationMs: number;
    agent?: string;
    class?: FailureClass;
    gate?: Gate;
    reason?: string;
    untilAt?: number;
  };
  'step.degraded': JobRef & { attempt: number; step: string; class: FailureClass; reason: string };
  'attempt.returned': JobRef & { attempt: number; reason: string };
  'attempt.lost': JobRef & { attempt: number; reason: string };
  /** Its owner was displaced while it ran: it was ended, or what it came to was refused. Its job waits for that owner. */
  'attempt.fenced': JobRef & { attempt: number; reason: string };
  /** What waited when its owner was displaced lies aside now, or is back in its line because that owner holds the lane again. */
  'jobs.displaced': { lane: string; count: number };
  'jobs.returned': { lane: string; count: number };
  /** Somebody orders about what displaced owners left: `jobs.adopted` or `jobs.dropped` tells how it ended. */
  'displaced.ordered': DisplacedRef & { order: 'adopt' | 'drop'; total: number };
  'jobs.adopted': DisplacedRef & DisplacedEnd & { to: { as: string; by: string } };
  'jobs.dropped': DisplacedRef & DisplacedEnd;
  'admission.decided': JobRef & { verdict: 'park' | 'refuse'; gate: Gate | null; reason: string };
  'settle.refused': JobRef & { attempt: number; outcome: string };
  'job.stalled': JobRef;
  /** Its pod died or froze: others may have the agent again. `wasSent`: the job stays where it is until its lock runs out. */
  'agent.freed': JobRef & { upstream: string; agent: string; wasSent: boolean };
  /** An act begins: for so long its window stood open while there was a job for it. */
  'window.used': { lane: string; agent: string; waitedMs: number };
  /** Somebody registered it, took it away, or moved its window while everything runs; instants are those of its window. */
  'agent.ordered': {
    upstream: string;
    agent: string;
    order: 'add' | 'remove' | 'mark' | 'clear';
    reason: string | null;
    beforeAt: number | null;
    afterAt: number | null;
  };
  /** It registered with a heartbeat and not again in time: nobody acts as it until it does. */
  'agent.silent': { upstream: string; agent: string; heartbeatMs: number | null; heardAt: number };
  /** Redis lost what was known of them: nobody acts before it is surely in order. */
  'agents.lost': { upstream: string };
  /** `who` ordered it, when that is not who writes it: an active job is cancelled by its pod. */
  'job.cancelled': JobRef & Audited & { before: string; after: string; who?: string };
  'cancel.ordered': JobRef & Audited & { before: string; after: string };
  /** By a sweep, not by its own attempt. `was` is the state it was found in. */
  'job.buried': JobRef & { class: FailureClass; reason: string; was: string };
  'job.recovered': JobRef & { reason: string };
  'job.replayed': JobRef & Audited & { class: FailureClass | null; before: string; after: string };
  'lane.paused': { lane: string; before: string; after: string } & Audited;
  'lane.resumed': { lane: string; before: string; after: string } & Audited;
  /** Somebody is about to do what `order` names; what follows with the same `intent` tells what became of it. */
  'order.begun': { lane: string; job?: string; order: string; reason: string | null; before: string; intent: string };
  /** It changed nothing; `found` is what was the case instead. */
  'order.voided': { lane: string; job?: string; order: string; before: string } & Audited;
  /** A person's line for whoever reads the timeline: what was tried, and what came of it. */
  'lane.noted': { lane: string; text: string };
  /** `isSame`: the owner there was took a new term. `from` is whom the lane was taken from by force. */
  'lane.taken': OwnerRef & { isSame: boolean; isForced: boolean; from: string | null };
  /** `why` is the reason for that; `reason` the one it was taken for. */
  'lane.released': OwnerRef & { why: string };
  /** Its term is over; `isHold`: its holder, who renewed it, died. Told once, by whoever sees it first. */
  'lane.expired': OwnerRef & { isHold: boolean };
  /** Of the owner it was taken from by force; `to` is who took it, `jobs` how many of its attempts were stopped. */
  'lane.displaced': OwnerRef & { to: string; why: string; jobs: number };
  /** This pod is the one that runs it, or plays that part for the fleet. `fromPod` is the last that did. */
  'run.taken': { lane?: string; role?: string; token: number; fromPod: string | null };
  'run.lost': { lane?: string; role?: string; token: number; reason: string };
  'run.released': { lane?: string; role?: string; token: number };
  /** Each is told once when it begins, and its counterpart once when it is over. */
  'lane.overdue': { lane: string; job: string; ageMs: number; dueMs: number };
  'lane.recovered': { lane: string; forMs: number };
  'lane.overparked': { lane: string; job: string; lateMs: number };
  'lane.unparked': { lane: string; forMs: number };
  'lane.unattended': { lane: string; job: string; ageMs: number };
  'lane.attended': { lane: string; forMs: number };
  'pod.silent': { pod: string; silentMs: number; lanes: string[] };
  'pod.heard': { pod: string; forMs: number };
  'job.dropped': JobRef & { reason: string | null; class: FailureClass | null; before: string; after: string };
  /** Somebody replays or drops many dead letters; `dead.replayed` or `dead.dropped` tells how it ended. */
  'operation.begun': LettersRef & { order: 'replay' | 'drop'; total: number };
  'dead.replayed': LettersRef & LettersEnd;
  'dead.dropped': LettersRef & LettersEnd;
  /** Removed by the lane's retention: older than it keeps, or more than it keeps. */
  'dead.expired': { lane: string; count: number; why: 'age' | 'count' };
  /** A lane got what it had waited for; feeds the histogram. A busy upstream tells 1,000 of these a second. */
  'permit.granted': { upstream: string; lane: string; waitedMs: number };
  /** Somebody changed a limit while it runs. Sizes before and after are those in force; `defined` is what the definitions say. */
  'limit.set': LimitOrdered & { after: number; untilAt: number | null };
  'limit.reset': LimitOrdered & { after: number | null };
  /** Nobody is let through for so long: the upstream said so. */
  'limit.held': { upstream: string; forMs: number; reason: string };
  /** Somebody ended that hold, which would have gone on for so long. */
  'limit.released': {
    upstream: string;
    reason: string;
    leftMs: number;
    beforeAt: number;
    afterAt: null;
    toldBy: string | null;
    told: string | null;
  };
  /**
   * Pods run different definitions of one limit; the stricter holds. A size of null: not in their definition. They may also differ
   * in the `driver`: then the sizes are names, and only pods with the first are granted anything.
   */
  'limit.drift': {
    upstream: string;
    limit: string;
    sizes: { size: number | LimitDriverName | null; pods: string[] }[];
  };
  /** Counting begins: nobody used them before, or another driver did. Nothing is granted for so long, so that nothing can be over. */
  'limit.begun': { upstream: string; forMs: number; reason: string };
  /** Redis no longer knows what is in use: nothing is granted for so long, for the same reason. */
  'limit.lost': { upstream: string; forMs: number; reason: string };
  'pod.started': { lanes: string[]; concurrency: number };
  'pod.draining': { running: number; deadlineMs: number; reason: string };
  'pod.stopped': { returned: number };
  'pod.late': { lateMs: number; running: string };
  'redis.lost': { reason: string };
  'redis.back': { awayMs: number };
  'redis.failing': { what: string; reason: string };
  'redis.full': { ratio: number; limitBytes: number };
  'redis.roomy': { ratio: number; limitBytes: number };
}

export type EventName = keyof Events;

/** How loud each event is in the log, and whether the journal keeps it. */
export const EVENT_CATALOGUE = {
  'attempt.started': { level: 'debug', journal: false },
  'attempt.finished': { level: 'info', journal: true },
  'step.degraded': { level: 'warn', journal: true },
  'attempt.returned': { level: 'info', journal: true },
  'attempt.lost': { level: 'warn', journal: true },
  'attempt.fenced': { level: 'warn', journal: true },
  'jobs.displaced': { level: 'info', journal: true },
  'jobs.returned': { level: 'info', journal: true },
  'displaced.ordered': { level: 'info', journal: true },
  'jobs.adopted': { level: 'info', journal: true },
  'jobs.dropped': { level: 'info', journal: true },
  'admission.decided': { level: 'debug', journal: false }, // the attempt.finished that follows is kept
  'settle.refused': { level: 'warn', journal: true },
  'job.stalled': { level: 'warn', journal: true },
  'job.cancelled': { level: 'info', journal: true },
  'cancel.ordered': { level: 'info', journal: true }, // written by who orders it; job.cancelled follows
  'job.buried': { level: 'error', journal: true },
  'job.recovered': { level: 'warn', journal: true },
  'job.replayed': { level: 'info', journal: true },
  'lane.paused': { level: 'info', journal: true },
  'lane.resumed': { level: 'info', journal: true },
  'lane.noted': { level: 'info', journal: true },
  // Written by the script that does it.
  'lane.taken': { level: 'info', journal: false },
  'lane.released': { level: 'info', journal: false },
  'lane.expired': { level: 'warn', journal: false },
  'lane.displaced': { level: 'warn', journal: false },
  'run.taken': { level: 'info', journal: true },
  'run.lost': { level: 'warn', journal: true },
  'run.released': { level: 'info', journal: true },
  'lane.overdue': { level: 'warn', journal: true },
  'lane.recovered': { level: 'info', journal: true },
  'lane.overparked': { level: 'warn', journal: true },
  'lane.unparked': { level: 'info', journal: true },
  'lane.unattended': { level: 'error', journal: true },
  'lane.attended': { level: 'info', journal: true },
  'pod.silent': { level: 'error', journal: true },
  'pod.heard': { level: 'info', journal: true },
  'job.dropped': { level: 'info', journal: true },
  'operation.begun': { level: 'info', journal: true },
  'order.begun': { level: 'info', journal: true },
  'order.voided': { level: 'info', journal: true },
  'dead.replayed': { level: 'info', journal: true },
  'dead.dropped': { level: 'info', journal: true },
  'dead.expired': { level: 'warn', journal: true },
  'permit.granted': { level: 'debug', journal: false }, // one per fetch; attempt.finished is kept
  'limit.set': { level: 'info', journal: true },
  'limit.reset': { level: 'info', journal: true },
  'limit.held': { level: 'warn', journal: true },
  'limit.released': { level: 'info', journal: true },
  'limit.drift': { level: 'warn', journal: true },
  'limit.begun': { level: 'info', journal: true },
  'limit.lost': { level: 'error', journal: true },
  'agent.freed': { level: 'warn', journal: true },
  'window.used': { level: 'debug', journal: false },
  'agent.ordered': { level: 'info', journal: true },
  'agent.silent': { level: 'warn', journal: true },
  'agents.lost': { level: 'error', journal: true },
  'pod.started': { level: 'info', journal: true },
  'pod.draining': { level: 'info', journal: true },
  'pod.stopped': { level: 'info', journal: true },
  'pod.late': { level: 'error', journal: true },
  'redis.lost': { level: 'error', journal: false }, // it could not be written; redis.back tells how long
  'redis.back': { level: 'info', journal: true },
  'redis.failing': { level: 'error', journal: false },
  'redis.full': { level: 'error', journal: true },
  'redis.roomy': { level: 'info', journal: true },
} as const satisfies Record<EventName, { level: LogLevel; journal: boolean }>;

export type AnyListener = <N extends EventName>(name: N, data: Events[N]) => void;

export interface EventHub {
  emit<N extends EventName>(name: N, data: Events[N]): void;
  on<N extends EventName>(name: N, listener: (data: Events[N]) => void): void;
  onAny(listener: AnyListener): void;
}

export function createEventHub(onListenerError: (error: unknown) => void = () => {}): EventHub {
  const byName = new Map<EventName, ((data: never) => void)[]>();
  const all: AnyListener[] = [];
  return {
    emit(name, data) {
      const own = byName.get(name);
      // No closure per call: a no-op job emits two events.
      for (let index = 0; own && index < own.length; index++) {
        try {
          (own[index] as (d: typeof data) => void)(data);
        } catch (error) {
          onListenerError(error);
        }
      }
      for (let index = 0; index < all.length; index++) {
        try {
          (all[index] as AnyListener)(name, data);
        } catch (error) {
          onListenerError(error);
        }
      }
    },
    on(name, listener) {
      byName.set(name, [...(byName.get(name) ?? []), listener as (data: never) => void]);
    },
    onAny(listener) {
      all.push(listener);
    },
  };
}
