// Jobs whose pod died come back: by whichever pod sweeps, one for all, and never a job whose lock still lives.

import { afterEach, describe, expect, vi } from 'vitest';
import { createSweeper } from '../../src/engine/sweeper.ts';
import { defineLane, handle } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import type { Redis } from '../../src/store/connect.ts';
import { type LaneQueue, MAX_STALLS, SWEEP_MS } from '../../src/store/lane-queue.ts';
import { createEventHub } from '../../src/words/events.ts';
import { createKeys } from '../../src/words/keys.ts';
import { RETRYING, untilState } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const lane = defineLane({ name: 'swept' });

/** A job that some pod fetched; `lockMs` is how long its lock still lives. */
async function fetchedByAnother(world: World, lockMs: number): Promise<string> {
  const queue = world.queue(lane);
  const { id } = await (await world.producer()).add(lane, null);
  await queue.backend.moveToActive('dead-pod:0', 'dead-pod');
  if (lockMs === 0) await world.redis.del(`${queue.jobKey(id)}:lock`);
  else await world.redis.pexpire(`${queue.jobKey(id)}:lock`, lockMs);
  return id;
}

describe('a job whose pod died', () => {
  it('runs again elsewhere, with no attempt used, and is told as stalled', async ({ world }) => {
    const id = await fetchedByAnother(world, 0);
    const pod = await world.pod([handle(lane, { run: ({ attempt }, { fence }) => ({ attempt, fence }) })]);
    const seen = world.record(pod);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: { attempt: 1, fence: '2' } });
    expect(seen.filter(({ name }) => name === 'job.stalled').map(({ data }) => data)).toEqual([
      { lane: 'swept', job: id },
    ]);
  });

  it('is left alone while its lock lives (twin)', async ({ world }) => {
    const alive = await fetchedByAnother(world, 60_000);
    const dead = await fetchedByAnother(world, 0);
    await world.pod([handle(lane, { run: () => null })]);
    await untilState(world.queue(lane), dead, 'done');
    expect(await showJob(world.queue(lane), alive)).toMatchObject({ state: 'active' });
  });

  it(`is dead as stalled when it has lost more than ${MAX_STALLS} pods`, async ({ world }) => {
    const id = await fetchedByAnother(world, 0);
    await world.redis.hset(world.queue(lane).jobKey(id), 'stc', MAX_STALLS);
    const run = vi.fn();
    await world.pod([handle(lane, { run })]);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({ class: 'stalled' });
    expect(run).not.toHaveBeenCalled();
  });
});

/** A sweeper over a Redis that is only the guard's key, on timers that we move. */
function sweeping(pod: string, guard: Map<string, string>, lanes: string[], sweep = vi.fn(async () => [] as string[])) {
  const set = async (key: string, value: string) => {
    if (guard.has(key)) return null;
    guard.set(key, value);
    return 'OK';
  };
  const events = createEventHub();
  const failing = vi.fn();
  events.on('redis.failing', failing);
  const laneQueues = lanes.map((name) => ({ lane: { name, tag: name }, backend: { moveStalledJobsToWait: sweep } }));
  const redis = { set } as unknown as Redis;
  const sweeper = createSweeper({
    pod,
    redis,
    keys: createKeys('lk'),
    laneQueues: laneQueues as unknown as LaneQueue[],
    events,
  });
  sweeper.start();
  return { sweeper, sweep, failing };
}

describe('the guard', () => {
  afterEach(() => void vi.useRealTimers());

  it('lets one pod sweep for all that run the same lanes, in whatever order they name them', async () => {
    vi.useFakeTimers();
    const guard = new Map<string, string>();
    const pods = [sweeping('a', guard, ['x', 'y']), sweeping('b', guard, ['y', 'x']), sweeping('c', guard, ['x', 'y'])];
    await vi.advanceTimersByTimeAsync(SWEEP_MS);
    expect(pods.map(({ sweep }) => sweep.mock.calls.length)).toEqual([2, 0, 0]);
    guard.clear(); // it ran out
    await vi.advanceTimersByTimeAsync(SWEEP_MS);
    expect(pods.reduce((sum, { sweep }) => sum + sweep.mock.calls.length, 0)).toBe(4);
    for (const { sweeper } of pods) await sweeper.stop();
  });

  it('leaves nobody’s lanes out: pods that run other lanes hold another key', async () => {
    vi.useFakeTimers();
    const guard = new Map<string, string>();
    const pods = [sweeping('a', guard, ['x', 'y']), sweeping('b', guard, ['y', 'z']), sweeping('c', guard, ['x'])];
    await vi.advanceTimersByTimeAsync(SWEEP_MS);
    expect(pods.map(({ sweep }) => sweep.mock.calls.length)).toEqual([2, 2, 1]);
    for (const { sweeper } of pods) await sweeper.stop();
  });

  it('that fails once is asked again: an error is told and ends nothing', async () => {
    vi.useFakeTimers();
    const guard = new Map<string, string>();
    const sweep = vi.fn(() => Promise.reject(new Error('OOM')));
    const { sweeper, failing } = sweeping('a', guard, ['x'], sweep);
    await vi.advanceTimersByTimeAsync(SWEEP_MS);
    expect(failing).toHaveBeenCalledWith({ what: 'sweep', reason: 'OOM' });
    guard.clear();
    await vi.advanceTimersByTimeAsync(SWEEP_MS);
    expect(sweep).toHaveBeenCalledTimes(2);
    await sweeper.stop();
    await vi.advanceTimersByTimeAsync(10 * SWEEP_MS);
    expect(sweep).toHaveBeenCalledTimes(2);
  });

  it('is shorter than the time to the next sweep in a real Redis', async ({ world }) => {
    const pod = await world.pod([handle(lane, { run: () => null })]);
    const key = await vi.waitFor(async () => {
      const [found] = await world.redis.keys(`${world.prefix}:beat:sweep:*`);
      expect(found).toBeDefined();
      return found as string;
    }, RETRYING);
    const ttl = await world.redis.pttl(key);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThan(SWEEP_MS);
    expect(await world.redis.get(key)).toBe(pod.name);
  });
});
