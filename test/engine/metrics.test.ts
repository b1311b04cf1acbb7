// The metrics: their names and labels are a contract with dashboards, and they count what the events say.

import { describe, expect, vi } from 'vitest';
import { createMetrics, type Metrics } from '../../src/engine/metrics.ts';
import { readPods } from '../../src/engine/presence.ts';
import { dead, defineLane, handle } from '../../src/index.ts';
import { createEventHub } from '../../src/words/events.ts';
import { COUNT, limitedUpstream } from '../path/limited-upstream.ts';
import { RETRYING, untilState } from '../path/looking.ts';
import { it } from '../support/world.ts';

/** As DESIGN.md lists them, those whose parts exist; `settle_refused_total`, `degraded_total` and `alarms_total` are extensions. */
const CONTRACT: Record<string, string[]> = {
  jobs_total: ['lane', 'outcome'],
  attempts_total: ['lane', 'class'],
  job_duration_seconds: ['lane'],
  job_wait_seconds: ['lane'],
  lane_jobs: ['lane', 'state'],
  parked_jobs: ['lane', 'gate'],
  degraded_total: ['lane', 'class'],
  admission_total: ['lane', 'verdict', 'gate'],
  dead_jobs: ['lane'],
  dead_total: ['lane', 'class'],
  dead_dropped_total: ['lane', 'why'],
  lock_lost_total: ['lane'],
  lane_owner: ['lane', 'owner'],
  owner_changes_total: ['lane', 'how'],
  fenced_total: ['lane'],
  settle_refused_total: ['lane'],
  alarms_total: ['alarm', 'lane'],
  oldest_waiting_seconds: ['lane'],
  pod_last_seen_timestamp_seconds: ['pod'],
  backlog_ratio: ['lane'],
  limit_in_use: ['upstream', 'limit'],
  limit_capacity: ['upstream', 'limit'],
  limit_wait_seconds: ['upstream'],
  window_wait_seconds: ['lane'],
  redis_memory_ratio: [],
  build_info: ['version'],
};

async function valueIn(
  { registry }: Metrics,
  name: string,
  labels: Record<string, string>,
): Promise<number | undefined> {
  const found = (await registry.getMetricsAsJSON()).find((one) => one.name === `lanekeeper_${name}`);
  const values = (found?.values ?? []) as {
    value: number;
    labels: Record<string, string | number>;
    metricName?: string;
  }[];
  const isAsked = (one: (typeof values)[number]) =>
    Object.entries(labels).every(([key, value]) => one.labels[key] === value);
  return values.filter((one) => !one.metricName || one.metricName.endsWith('_count')).find(isAsked)?.value;
}

describe('the metrics', () => {
  it('have the names and labels of the contract, each with a help text', async ({ world }) => {
    const metrics = createMetrics('1.2.3');
    metrics.watchLanes([world.queue(defineLane({ name: 'a' }))], async () => []);
    metrics.watchLimits(async () => []);
    metrics.watchOwners(async () => []);
    const ours = (await metrics.registry.getMetricsAsJSON()).filter(({ name }) => name.startsWith('lanekeeper_'));
    expect(ours.map(({ name }) => name.replace('lanekeeper_', '')).sort()).toEqual(Object.keys(CONTRACT).sort());
    for (const { name, help } of ours) expect(help, name).not.toBe('');
    for (const [name, labels] of Object.entries(CONTRACT)) {
      const made = metrics.registry.getSingleMetric(`lanekeeper_${name}`) as unknown as { labelNames: string[] };
      expect(made.labelNames, name).toEqual(labels);
    }
    expect(await valueIn(metrics, 'build_info', { version: '1.2.3' })).toBe(1);
  });

  it('count what the events say', async () => {
    const metrics = createMetrics('1');
    const events = createEventHub((error) => {
      throw error;
    });
    metrics.subscribe(events);
    const ref = { lane: 'a', job: 'j', attempt: 1 };
    const end = { ...ref, durationMs: 1_500 };
    events.emit('attempt.started', { ...ref, start: 1, agent: null, waitedMs: 20 });
    events.emit('attempt.started', { ...ref, start: 2, agent: null, waitedMs: 90_000 });
    events.emit('attempt.finished', { ...end, outcome: 'done' });
    events.emit('attempt.finished', { ...end, outcome: 'retry', class: 'transient' });
    events.emit('attempt.finished', { ...end, outcome: 'park', class: 'rate-limit', gate: 'limit' });
    events.emit('attempt.finished', { ...end, outcome: 'park', gate: 'schedule' });
    events.emit('attempt.finished', { ...end, outcome: 'dead', class: 'gone' });
    events.emit('dead.expired', { lane: 'a', count: 7, why: 'age' });
    events.emit('dead.expired', { lane: 'a', count: 5, why: 'age' });
    events.emit('permit.granted', { upstream: 'u', lane: 'a', waitedMs: 30 });
    events.emit('attempt.lost', { ...ref, reason: 'r' });
    events.emit('settle.refused', { ...ref, outcome: 'done' });
    events.emit('step.degraded', { ...ref, step: 's', class: 'quota', reason: 'r' });
    events.emit('admission.decided', { lane: 'a', job: 'j', verdict: 'refuse', gate: null, reason: 'r' });
    events.emit('admission.decided', { lane: 'a', job: 'j', verdict: 'park', gate: 'limit', reason: 'r' });
    const is = async (name: string, labels: Record<string, string>, value: number) =>
      expect(await valueIn(metrics, name, { lane: 'a', ...labels }), `${name} ${JSON.stringify(labels)}`).toBe(value);
    await is('jobs_total', { outcome: 'done' }, 1);
    await is('jobs_total', { outcome: 'retry' }, 1);
    await is('jobs_total', { outcome: 'park' }, 2);
    await is('jobs_total', { outcome: 'dead' }, 1);
    await is('attempts_total', { class: 'ok' }, 2);
    await is('attempts_total', { class: 'transient' }, 1);
    await is('attempts_total', { class: 'rate-limit' }, 1);
    await is('dead_total', { class: 'gone' }, 1);
    await is('dead_dropped_total', { why: 'age' }, 12);
    await is('lock_lost_total', {}, 1);
    await is('settle_refused_total', {}, 1);
    await is('degraded_total', { class: 'quota' }, 1);
    await is('admission_total', { verdict: 'refuse', gate: '' }, 1);
    await is('admission_total', { verdict: 'park', gate: 'limit' }, 1);
    await is('job_duration_seconds', {}, 5);
    await is('job_wait_seconds', {}, 1);
    expect(await valueIn(metrics, 'limit_wait_seconds', { upstream: 'u' })).toBe(1);
  });

  it('look up what lies in Redis at each scrape, and forget what is no longer there', async ({ world }) => {
    const lane = defineLane({ name: 'a', backlog: 4 });
    const queue = world.queue(lane);
    const metrics = createMetrics('1');
    metrics.watchLanes(
      [queue],
      () => readPods(world.redis, world.keys),
      () => lane.backlog,
    );
    const pod = await world.pod([handle(lane, { run: () => dead('no') })]);
    const producer = await world.producer();
    const { id } = await producer.add(lane, null);
    await producer.add(lane, null, { at: Date.UTC(2040, 0, 1) });
    await untilState(queue, id, 'dead');
    expect(await valueIn(metrics, 'lane_jobs', { lane: 'a', state: 'dead' })).toBe(1);
    expect(await valueIn(metrics, 'lane_jobs', { lane: 'a', state: 'waiting' })).toBe(0);
    expect(await valueIn(metrics, 'dead_jobs', { lane: 'a' })).toBe(1);
    expect(await valueIn(metrics, 'backlog_ratio', { lane: 'a' })).toBe(1 / 4);
    const ratio = await valueIn(metrics, 'redis_memory_ratio', {});
    expect(ratio).toBeGreaterThan(0);
    expect(ratio).toBeLessThan(1);
    await vi.waitFor(
      async () =>
        expect(await valueIn(metrics, 'pod_last_seen_timestamp_seconds', { pod: pod.name })).toBeGreaterThan(1e9),
      RETRYING,
    );
    await pod.stop('over');
    expect(await valueIn(metrics, 'pod_last_seen_timestamp_seconds', { pod: pod.name })).toBeUndefined();
  });

  it('tell of limits from one look per scrape, and forget what is no longer there', async ({ world }) => {
    const limited = await limitedUpstream(world);
    await limited.say('one', [COUNT]);
    await limited.use('per-1m', { publish: 7 });
    const metrics = createMetrics('1');
    let looks = 0;
    let isAway = false;
    metrics.watchLimits(() => {
      looks++;
      return isAway ? Promise.reject(new Error('away')) : Promise.all([limited.look()]);
    });
    const labels = { upstream: 'forum', limit: 'per-1m' };
    const text = await metrics.registry.metrics();
    expect(text).toContain('lanekeeper_limit_in_use{upstream="forum",limit="per-1m"} 7');
    expect(text).toContain('lanekeeper_limit_capacity{upstream="forum",limit="per-1m"} 60');
    expect(looks).toBe(1);
    isAway = true;
    expect(await valueIn(metrics, 'limit_in_use', labels)).toBeUndefined();
    isAway = false;
    expect(await valueIn(metrics, 'limit_capacity', labels)).toBe(60);
  });

  it('answer what they can while Redis is away', async ({ world }) => {
    const queue = world.queue(defineLane({ name: 'a' }));
    const broken = {
      ...queue,
      backend: { getCounts: () => Promise.reject(new Error('away')) },
    } as unknown as typeof queue;
    const metrics = createMetrics('1');
    metrics.watchLanes([broken], () => Promise.reject(new Error('away')));
    expect(await metrics.registry.metrics()).toContain('lanekeeper_build_info{version="1"} 1');
  });
});
