// A pod: one process that works. It runs, then drains, then is stopped; never backwards. What it promises when it drains:
// what ends before the deadline is settled; the rest is aborted and back at the head of its line, with no attempt used.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAdmission, stalledGate } from '../path/admission.ts';
import type { Attempt } from '../path/attempt.ts';
import type { Handler } from '../path/handler.ts';
import { createOwnerGate } from '../path/owner-gate.ts';
import { openProducer } from '../path/producer.ts';
import { attemptOver } from '../path/request.ts';
import { createRunner } from '../path/runner.ts';
import { createSettle } from '../path/settle.ts';
import { createSlots } from '../path/slots.ts';
import { createSource, type Source } from '../path/source.ts';
import { createBell } from '../store/bell.ts';
import { openRedis } from '../store/connect.ts';
import { type LaneQueue, openLaneQueue } from '../store/lane-queue.ts';
import { openNotices } from '../store/notices.ts';
import { type Clock, systemClock } from '../words/clock.ts';
import { createEventHub, type EventHub } from '../words/events.ts';
import { createKeys } from '../words/keys.ts';
import { createAgents } from './agents.ts';
import { createCancelKeeper } from './cancel-keeper.ts';
import { fingerprint } from './fingerprint.ts';
import { createImpostorSweep } from './impostors.ts';
import { createIntentKeeper } from './intent-keeper.ts';
import { createJournal } from './journal.ts';
import { createJournalTrim } from './journal-trim.ts';
import { createLockKeeper } from './locks.ts';
import { type Logger, logEvents } from './log.ts';
import { createMemoryWatch } from './memory-watch.ts';
import { createOverdueWatch } from './overdue.ts';
import { createOwners } from './owners.ts';
import { createPermits } from './permits.ts';
import { createPresence } from './presence.ts';
import { createRetention } from './retention.ts';
import { createSweeper } from './sweeper.ts';
import { createTurns } from './turns.ts';
import { startWatchdog } from './watchdog.ts';

export interface PodOptions {
  redisUrl: string;
  prefix: string;
  handlers: readonly Handler[];
  /** Attempts at once, over all lanes. */
  concurrency: number;
  log: Logger;
  events?: EventHub;
  clock?: Clock;
  name?: string;
  metricsUrl?: string | null;
  version?: string;
  watchdog?: boolean;
}

export interface Pod {
  readonly name: string;
  readonly events: EventHub;
  readonly state: 'running' | 'draining' | 'stopped';
  readonly running: number;
  start(): Promise<void>;
  /** Idempotent. Resolves when truly stopped: nothing runs, nothing is connected. A later, shorter deadline holds. */
  stop(reason: string, deadlineMs?: number): Promise<void>;
}

const LEAVE_MS = 2_000;

export function newPodName(): string {
  return `${hostname()
    .replace(/[^A-Za-z0-9.-]/g, '')
    .slice(0, 40)}-${randomBytes(3).toString('hex')}`;
}

export function createPod(options: PodOptions): Pod {
  const { redisUrl, prefix, handlers, concurrency, log, clock = systemClock } = options;
  const name = options.name ?? newPodName();
  const events = options.events ?? createEventHub((error) => log.error({ err: error }, 'listener.failed'));
  const keys = createKeys(prefix);
  const startedAt = clock.now();
  const attempts = new Set<Attempt>();
  const lanes = handlers.map(({ lane }) => lane.name);

  let state: Pod['state'] = 'running';
  let isStarted = false;
  let awaySince: number | undefined;
  const redis = openRedis(redisUrl, 'pod', (error) => lost(error.message));
  const blocking = openRedis(redisUrl, 'blocking');
  redis.on('close', () => lost('the connection closed'));
  redis.on('ready', () => {
    if (awaySince === undefined) return;
    events.emit('redis.back', { awayMs: Math.round(clock.mono() - awaySince) });
    awaySince = undefined;
  });
  function lost(reason: string): void {
    if (awaySince !== undefined || state === 'stopped') return;
    awaySince = clock.mono();
    events.emit('redis.lost', { reason });
  }

  const laneQueues = new Map<string, LaneQueue>();
  for (const { lane } of handlers) laneQueues.set(lane.name, openLaneQueue(redis, keys, lane, name));
  const queueOf = (lane: string) => laneQueues.get(lane) as LaneQueue;

  const producer = openProducer(redis, redisUrl, prefix, clock);
  const journal = createJournal({ redis, keys, who: name, tagOf: (lane) => laneQueues.get(lane)?.lane.tag, clock });
  const slots = createSlots(concurrency);
  const notices = openNotices(redisUrl, ({ message }) =>
    events.emit('redis.failing', { what: 'notices', reason: message }),
  );
  const permits = createPermits({ pod: name, redis, redisUrl, notices, keys, clock, events });
  const agents = createAgents({ pod: name, redis, notices, keys, clock, events });
  const bell = createBell(blocking, redis, keys.ring(name));
  const admit = createAdmission([stalledGate, createOwnerGate(queueOf, keys, clock)], permits.gate);
  const locks = createLockKeeper({ attempts, queueOf, clock, events });
  const sweeper = createSweeper({ pod: name, redis, keys, laneQueues: [...laneQueues.values()], events });
  const impostors = createImpostorSweep(redis, [...laneQueues.values()], { pod: name, keys, clock, events });
  const memoryWatch = createMemoryWatch(name, redis, keys, events);
  const prints = Object.fromEntries(handlers.map(({ lane }) => [lane.name, fingerprint(lane)]));
  const cancels = createCancelKeeper({ attempts, laneQueues, redis, keys, clock, events });
  const watched = handlers.map(({ lane }) => ({ lane, laneQueue: queueOf(lane.name) }));
  const overdue = createOverdueWatch({ who: name, redis, keys, clock, events, lanes: watched });
  const owners = createOwners({ pod: name, redis, keys, notices, events, attempts, lanes: watched });
  const retention = createRetention({ pod: name, redis, keys, lanes: watched, events });
  const intents = createIntentKeeper({ who: name, redis, keys, events });
  const journalTags = [...new Set([...laneQueues.values()].map(({ lane }) => lane.tag))];
  const journalTrim = createJournalTrim({ who: name, redis, keys, tags: journalTags, events });
  const presence = createPresence({ redis, keys, pod: name, clock, events }, () => ({
    pid: process.pid,
    host: hostname(),
    lanes,
    concurrency,
    state: state === 'running' ? 'running' : 'draining',
    startedAt,
    metricsUrl: options.metricsUrl ?? null,
    version: options.version ?? 'unknown',
    prints,
  }));
  const turns = createTurns({ pod: name, redis, keys, clock, events, attempts });
  const sources: Source[] = handlers.map((handler) => {
    const laneQueue = queueOf(handler.lane.name);
    const settle = createSettle({ pod: name, lane: handler.lane, laneQueue, keys, clock, events });
    const turn = turns.of(handler.lane, () => source.turned());
    const source: Source = createSource({
      pod: name,
      laneQueue,
      concurrency: Math.min(handler.lane.concurrency, concurrency),
      slots,
      permits: permits.deskOf(handler.lane),
      agents: agents.laneOf(handler.lane),
      turn,
      bell,
      run: createRunner({
        handler,
        laneQueue,
        slots,
        admit,
        settle,
        attempts,
        clock,
        events,
        log,
        addFrom: producer.addFrom,
        turn,
      }),
      clock,
      events,
    });
    return source;
  });

  const watchdog =
    options.watchdog === false
      ? undefined
      : startWatchdog({
          running: describeRunning,
          onLate: (lateMs) => events.emit('pod.late', { lateMs, running: describeRunning() }),
          clock,
        });

  function describeRunning(): string {
    return [...attempts]
      .slice(0, 8)
      .map((attempt) => `${attempt.lane.name}/${attempt.id}`)
      .join(' ');
  }

  let stopping: Promise<void> | undefined;
  let endEverything: (() => void) | undefined;

  function hurry(deadlineMs: number): void {
    if (deadlineMs <= 0) endEverything?.();
    else setTimeout(() => endEverything?.(), deadlineMs).unref();
  }

  async function drain(reason: string, deadlineMs: number): Promise<void> {
    state = 'draining';
    events.emit('pod.draining', { running: attempts.size, deadlineMs, reason });
    const sourcesEnded = Promise.all(sources.map((source) => source.stop()));
    const returned = await settleWithin(deadlineMs);
    await within(LEAVE_MS, sourcesEnded);
    events.emit('pod.stopped', { returned });
    state = 'stopped';
    locks.stop();
    // With Redis away these would wait for it, and so would whoever stops this pod.
    await within(
      LEAVE_MS,
      Promise.all(
        [
          turns,
          owners,
          permits,
          agents,
          sweeper,
          impostors,
          cancels,
          overdue,
          retention,
          intents,
          journalTrim,
          memoryWatch,
          presence,
        ].map((part) => part.stop()),
      ),
    );
    // What they told last is written too.
    await within(LEAVE_MS, journal.stop());
    await watchdog?.stop();
    // A connection that is told to go while it is being made may never say that it went.
    await within(LEAVE_MS, bell.stop());
    notices.stop();
    redis.disconnect();
    const closing = [producer, ...laneQueues.values()].map((part) => part.close());
    await within(LEAVE_MS, Promise.all(closing));
  }

  /** Waits for the attempts; at the deadline, or when told to, ends those that still run. Answers how many those were. */
  async function settleWithin(deadlineMs: number): Promise<number> {
    let returned = 0;
    let isEnding = false;
    const end = () => {
      isEnding = true;
      for (const attempt of attempts) {
        if (attempt.ended) continue;
        returned++;
        attempt.end('leaving', attemptOver(attempt, 'its pod is leaving'));
      }
    };
    endEverything = end;
    const timer = deadlineMs > 0 ? setTimeout(end, deadlineMs) : end();
    const stepMs = 5;
    // Once ended, putting jobs back takes a round trip; when Redis does not answer, their locks run out instead.
    for (let graceMs = LEAVE_MS; attempts.size > 0 && graceMs > 0; graceMs -= isEnding ? stepMs : 0) {
      await new Promise((resolve) => setTimeout(resolve, stepMs));
    }
    clearTimeout(timer ?? undefined);
    return returned;
  }

  return {
    name,
    events,
    get state() {
      return state;
    },
    get running() {
      return attempts.size;
    },
    async start() {
      if (isStarted || state !== 'running') return;
      isStarted = true;
      logEvents(log, events);
      journal.subscribe(events);
      events.emit('pod.started', { lanes, concurrency });
      locks.start();
      sweeper.start();
      impostors.start();
      cancels.start();
      overdue.start();
      retention.start();
      intents.start();
      journalTrim.start();
      presence.start();
      memoryWatch.start();
      agents.start();
      turns.start();
      owners.start();
      for (const source of sources) source.start();
    },
    stop(reason, deadlineMs = 0) {
      if (stopping) hurry(deadlineMs);
      stopping ??= drain(reason, deadlineMs);
      return stopping;
    },
  };
}

function within(ms: number, work: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return Promise.race([work.catch(() => {}), timeUp]).finally(() => clearTimeout(timer));
}
