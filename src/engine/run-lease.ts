// One pod of all: for a lane with `pods: 'one'`, or for a part that one process plays for the fleet, such as cron. A lease of 8 s,
// renewed every 2 s; whoever has it stops by its own monotonic clock 6 s after it last asked in time, so before another may begin.
// The others stand by, and ask again the moment the lease could be free: a killed one's is taken over within 8 s and a round trip.

import type { Turn } from '../path/turn.ts';
import type { Redis } from '../store/connect.ts';
import { type RunReply, runLease } from '../store/ownership/run-lease.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { LEASE_MS, RENEW_MS, SURE_MS } from '../words/owner.ts';

export interface RunLeaseOptions {
  /** What the journal calls it. */
  name: { lane: string } | { role: string };
  pod: string;
  redis: Redis;
  /** Where it stands, and the hash whose `last` is its sequence of tokens: of a lane its group's owner, of a part its own. */
  runKey: string;
  sequenceKey: string;
  clock: Clock;
  events: EventHub;
  onHeld(token: number): void;
  /** By then nothing more may be begun, and what runs is to be ended. Not called when it is given back by `stop`. */
  onLost(reason: string): void;
}

export interface RunLease extends Turn {
  start(): void;
  /** Gives it back, so that another pod goes on at once. Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

/** After an answer that did not come, or a late one. */
const RETRY_MS = 500;

export function createRunLease(options: RunLeaseOptions): RunLease {
  const { name, pod, redis, runKey, sequenceKey, clock, events, onHeld, onLost } = options;
  let token: number | undefined;
  let untilMono = Number.NEGATIVE_INFINITY;
  let highest = 0;
  let isStopping = false;
  let isFailing = false;
  let timer: NodeJS.Timeout | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let underWay: Promise<void> | undefined;

  const isOurs = () => token !== undefined && clock.mono() < untilMono;

  function ask(isLast = false): Promise<RunReply> {
    const given = { pod, termMs: LEASE_MS, token: token ?? '', floor: highest, isLast: isLast ? 1 : 0 };
    return runLease.run(redis, { run: runKey, sequence: sequenceKey }, given);
  }

  async function turn(): Promise<void> {
    const askedMono = clock.mono();
    const askedAs = token;
    let againMs = RETRY_MS;
    try {
      const reply = await ask();
      isFailing = false;
      // What was given up while it was asked for is not ours again by the answer: asked anew, for another token.
      againMs = askedAs === token ? heard(reply, askedMono) : 0;
    } catch (error) {
      if (!isFailing) {
        const what = `${token === undefined ? 'ask for' : 'renew'} the run lease of ${Object.values(name)[0]}`;
        events.emit('redis.failing', { what, reason: toError(error).message });
      }
      isFailing = true;
    }
    if (!isStopping) timer = setTimeout(look, againMs);
  }

  /** Answers after how many ms to ask again. */
  function heard(reply: RunReply, askedMono: number): number {
    if (reply.kind === 'standby') {
      highest = Math.max(highest, reply.token);
      return Math.min(RENEW_MS, reply.forMs + 1);
    }
    if (reply.kind !== 'held') {
      lose('another has it, or Redis lost it');
      return 0;
    }
    highest = Math.max(highest, reply.token);
    const isNew = token !== reply.token;
    // An answer that comes too late, after a stop of this process, is no base to begin on: asked anew.
    if (clock.mono() >= askedMono + SURE_MS) return 0;
    untilMono = askedMono + SURE_MS;
    clearTimeout(deadline);
    deadline = setTimeout(() => lose('it could not be renewed in time'), untilMono - clock.mono());
    if (isNew) {
      token = reply.token;
      events.emit('run.taken', { ...name, token, fromPod: reply.fromPod });
      onHeld(token);
    }
    return RENEW_MS;
  }

  function lose(reason: string): void {
    clearTimeout(deadline);
    if (token === undefined) return;
    const lost = token;
    token = undefined;
    untilMono = Number.NEGATIVE_INFINITY;
    events.emit('run.lost', { ...name, token: lost, reason });
    onLost(reason);
  }

  function look(): void {
    // A process that slept wakes to all its timers at once, this one perhaps first.
    if (token !== undefined && !isOurs()) lose('it could not be renewed in time');
    underWay = turn();
  }

  return {
    get isOurs() {
      return isOurs();
    },
    get untilMono() {
      return untilMono;
    },
    get token() {
      return isOurs() ? token : undefined;
    },
    start: look,
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await underWay;
      clearTimeout(timer);
      clearTimeout(deadline);
      if (token === undefined) return;
      const given = token;
      const reply = isOurs() ? await ask(true).catch(() => undefined) : undefined;
      token = undefined;
      untilMono = Number.NEGATIVE_INFINITY;
      if (reply?.kind === 'released') events.emit('run.released', { ...name, token: given });
    },
  };
}
