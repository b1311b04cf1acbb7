// Prometheus metrics, counted from events and, for what lies in Redis, looked up when somebody scrapes.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { readHeads } from '../path/heads.ts';
import { countJobs, type LaneCounts } from '../path/inspect.ts';
import { JOB_STATES } from '../path/job-state.ts';
import type { LimitSeen, LimitsSeen } from '../path/limit-look.ts';
import { OWNER_CHANGES, type OwnerCounts } from '../path/owner-counts.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { readInfo, toMemory } from '../store/redis-info.ts';
import { redisNow } from '../store/redis-now.ts';
import type { EventHub } from '../words/events.ts';
import { GATES } from '../words/outcome.ts';
import { createDistribution, createMeter } from './meters.ts';

/** From a cache hit to a slow model; the last bucket is the longest timeout people set. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const LANE_JOBS_HELP =
  'Jobs in a lane, by state: parked wait at a gate (parked_jobs says at which), scheduled for their instant or their next attempt';
const PARKED_JOBS_HELP =
  "Parked jobs of a lane, by gate: cooldown, an agent's window; limit, tokens, what one agent may do, a 429 or a quota; owner, that theirs has the lane again; schedule, park() of their handler. Where a whole lane is paused, or its limit full, jobs are waiting, not parked";
const BACKLOG_HELP = 'Jobs that wait, of those that may; beyond 1 adds are refused';

type Counted = LaneCounts & { lane: string };

export interface Metrics {
  readonly registry: Registry;
  subscribe(events: EventHub): void;
  /** Adds gauges read from Redis at each scrape: for one process per fleet that everybody scrapes, the API. */
  watchLanes(
    laneQueues: readonly LaneQueue[],
    readPodsSeen: () => Promise<{ pod: string; seenAt: number }[]>,
    backlogOf?: (lane: string) => number | undefined,
  ): void;
  /** As above, for what the upstreams' pods share. */
  watchLimits(look: () => Promise<LimitsSeen[]>): void;
  /** As above, for who has the exclusive lanes. */
  watchOwners(look: () => Promise<OwnerCounts[]>): void;
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, labelNames: string[]) =>
    createMeter(registry, `lanekeeper_${name}`, help, labelNames);
  const histogram = (name: string, help: string, label = 'lane') =>
    createDistribution(registry, `lanekeeper_${name}`, help, label, SECONDS);
  const lookedUp = <M extends { reset(): void }>(
    name: string,
    help: string,
    labelNames: string[],
    collect: (metric: M) => Promise<void>,
  ) => ({
    name: `lanekeeper_${name}`,
    help,
    labelNames,
    registers,
    async collect(this: M) {
      this.reset();
      // A scrape answers what it can while Redis is away.
      await collect(this).catch(() => {});
    },
  });
  const gauge = (name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => Promise<void>) =>
    new Gauge(lookedUp(name, help, labelNames, collect));

  const jobs = counter('jobs_total', 'Attempts settled, by what became of the job', ['lane', 'outcome']);
  const attempts = counter('attempts_total', 'Attempts settled, by class of failure; "ok" for none', ['lane', 'class']);
  const dead = counter('dead_total', 'Jobs buried', ['lane', 'class']);
  const expired = counter('dead_dropped_total', 'Dead letters removed by retention', ['lane', 'why']);
  const lockLost = counter('lock_lost_total', 'Attempts aborted because their lock was lost', ['lane']);
  const refused = counter('settle_refused_total', 'Settles refused because another pod had the job', ['lane']);
  const fenced = counter('fenced_total', 'Attempts ended or refused because another took their lane', ['lane']);
  const degraded = counter('degraded_total', 'Optional steps that failed and were replaced', ['lane', 'class']);
  const admission = counter('admission_total', 'Admissions that did not admit', ['lane', 'verdict', 'gate']);
  const alarms = counter('alarms_total', 'Alarms raised, each once when it began', ['alarm', 'lane']);
  const duration = histogram('job_duration_seconds', 'From the start of an attempt to its settle');
  const wait = histogram('job_wait_seconds', 'From being added to the start of the first attempt');
  const windowWait = histogram('window_wait_seconds', "From a window's opening to its act, while work waited for it");
  const limitWait = histogram('limit_wait_seconds', 'From asking for a permit to having it', 'upstream');
  const build = new Gauge({ name: 'lanekeeper_build_info', help: 'Version', labelNames: ['version'], registers });
  build.set({ version }, 1);

  return {
    registry,
    subscribe(events) {
      events.on('attempt.started', ({ lane, start, waitedMs }) => {
        if (start === 1) wait.observe(lane, waitedMs / 1_000);
      });
      events.on('attempt.finished', ({ lane, outcome, class: ofClass, durationMs }) => {
        jobs.add(lane, outcome);
        attempts.add(lane, ofClass ?? 'ok');
        duration.observe(lane, durationMs / 1_000);
        if (outcome === 'dead') dead.add(lane, ofClass ?? 'fatal');
      });
      for (const name of ['lane.overdue', 'lane.overparked', 'lane.unattended'] as const)
        events.on(name, ({ lane }) => alarms.add(name, lane));
      events.on('pod.silent', () => alarms.add('pod.silent', ''));
      events.on('job.cancelled', ({ lane }) => jobs.add(lane, 'cancelled'));
      events.on('job.buried', ({ lane, class: ofClass }) => dead.add(lane, ofClass));
      events.on('step.degraded', ({ lane, class: ofClass }) => degraded.add(lane, ofClass));
      events.on('dead.expired', ({ lane, count, why }) => expired.addMany(count, lane, why));
      events.on('window.used', ({ lane, waitedMs }) => windowWait.observe(lane, waitedMs / 1_000));
      events.on('permit.granted', ({ upstream, waitedMs }) => limitWait.observe(upstream, waitedMs / 1_000));
      events.on('attempt.lost', ({ lane }) => lockLost.add(lane));
      events.on('attempt.fenced', ({ lane }) => fenced.add(lane));
      events.on('settle.refused', ({ lane }) => refused.add(lane));
      events.on('admission.decided', ({ lane, verdict, gate }) => admission.add(lane, verdict, gate ?? ''));
    },
    watchLanes(laneQueues, readPodsSeen, backlogOf = () => undefined) {
      const countOnce = oncePerScrape(() =>
        Promise.all(laneQueues.map(async (queue) => ({ lane: queue.lane.name, ...(await countJobs(queue)) }))),
      );
      const perLane = (name: string, help: string, label: string[], tell: (self: Gauge, counts: Counted) => void) =>
        gauge(name, help, ['lane', ...label], async (self) => {
          for (const counts of await countOnce()) tell(self, counts);
        });
      perLane('lane_jobs', LANE_JOBS_HELP, ['state'], (self, { lane, ...counts }) => {
        for (const state of JOB_STATES) self.set({ lane, state }, counts[state]);
      });
      perLane('parked_jobs', PARKED_JOBS_HELP, ['gate'], (self, { lane, gates }) => {
        for (const gate of GATES) self.set({ lane, gate }, gates[gate]);
      });
      perLane('dead_jobs', 'Dead letters kept', [], (self, { lane, dead }) => self.set({ lane }, dead));
      perLane('backlog_ratio', BACKLOG_HELP, [], (self, { lane, waiting, parked, scheduled }) => {
        const backlog = backlogOf(lane);
        if (backlog !== undefined) self.set({ lane }, (waiting + parked + scheduled) / backlog);
      });
      gauge(
        'redis_memory_ratio',
        'Memory that Redis uses, of what it may; at 0.75 adds are refused',
        [],
        async (self) => {
          const [first] = laneQueues;
          const memory = first && toMemory(await readInfo(first.redis, 'memory'));
          if (memory) self.set(memory.ratio);
        },
      );
      gauge('oldest_waiting_seconds', 'Since when the oldest waiting job could have run', ['lane'], async (self) => {
        const nowAt = laneQueues[0] ? await redisNow(laneQueues[0].redis) : 0;
        await Promise.all(
          laneQueues.map(async (laneQueue) => {
            const { oldest } = await readHeads(laneQueue, nowAt);
            self.set({ lane: laneQueue.lane.name }, oldest ? (nowAt - oldest.sinceAt) / 1_000 : 0);
          }),
        );
      });
      gauge('pod_last_seen_timestamp_seconds', 'When a pod last said that it runs', ['pod'], async (self) => {
        for (const { pod, seenAt } of await readPodsSeen()) self.set({ pod }, seenAt / 1_000);
      });
    },
    watchLimits(look) {
      const lookOnce = oncePerScrape(look);
      const perLimit = (name: string, help: string, read: (limit: LimitSeen) => number) =>
        gauge(name, help, ['upstream', 'limit'], async (self) => {
          for (const { upstream, limits } of await lookOnce())
            for (const limit of limits) self.set({ upstream, limit: limit.limit }, read(limit));
        });
      perLimit('limit_in_use', 'How much of a limit counts now; of one by agent its fullest', ({ inUse }) => inUse);
      perLimit('limit_capacity', 'How much a limit allows now, orders included', ({ size }) => size);
    },
    watchOwners(look) {
      const lookOnce = oncePerScrape(look);
      gauge(
        'lane_owner',
        'Who has an exclusive lane: 1 for that one, none for nobody',
        ['lane', 'owner'],
        async (self) => {
          for (const { lane, owner } of await lookOnce()) if (owner !== null) self.set({ lane, owner }, 1);
        },
      );
      const [name, help] = ['owner_changes_total', 'Changes of who has an exclusive lane, over the fleet'];
      const count = async (self: Counter) => {
        for (const { lane, changes } of await lookOnce())
          for (const how of OWNER_CHANGES) self.inc({ lane, how }, changes[how]);
      };
      new Counter(lookedUp(name, help, ['lane', 'how'], count));
    },
  };
}

/** All metrics of one scrape are asked at once, and tell of one look. */
function oncePerScrape<T>(look: () => Promise<T>): () => Promise<T> {
  let looking: Promise<T> | undefined;
  return () => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
