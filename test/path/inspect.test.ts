// Looks: every state as it is, in words, and for whatever waits why, until when, and behind how many.

import { describe, expect, vi } from 'vitest';
import { dead, defineLane, handle, type Lane, park, UpstreamError } from '../../src/index.ts';
import { countJobs, explainJob, isJobState, listJobs, showJob } from '../../src/path/inspect.ts';
import { JOB_STATES, type JobState } from '../../src/path/job-state.ts';
import { it, type World } from '../support/world.ts';
import { gate, plainQueue, RETRYING, rejection, tick, untilState } from './looking.ts';

const AT = Date.UTC(2040, 0, 1);
const lane = defineLane({ name: 'looks', retry: { attempts: 2, backoff: ['1h'], jitter: 0 }, concurrency: 8 });

/** One job in every state but `waiting`. */
async function everyState(world: World) {
  const held = gate();
  const producer = await world.producer();
  const pod = await world.pod([
    handle(lane, {
      run: ({ payload }): unknown => {
        if (payload === 'active') return held.opened;
        if (payload === 'parked') return park({ until: AT, reason: 'not open yet' });
        if (payload === 'limited')
          throw new UpstreamError('slow', { class: 'rate-limit', status: 429, retryAfterAt: AT });
        if (payload === 'retry') throw new Error('broke');
        return payload === 'dead' ? dead('no such channel') : 'result';
      },
    }),
  ]);
  const ids: Record<string, string> = {};
  const plain = plainQueue(world, lane);
  for (const kind of ['active', 'parked', 'limited', 'retry', 'dead', 'done']) {
    ids[kind] = (await plain.add('x', { lk: 1, payload: kind, agent: 'a01' })).id as string;
  }
  ids.scheduled = (await producer.add(lane, 'scheduled', { at: AT })).id;
  const states: Record<string, JobState> = {
    active: 'active',
    parked: 'parked',
    limited: 'parked',
    retry: 'scheduled',
    dead: 'dead',
    done: 'done',
  };
  for (const [kind, state] of Object.entries(states)) await untilState(world.queue(lane), ids[kind] as string, state);
  world.defer(() => held.open());
  return { pod, ids: ids as Record<'active' | 'parked' | 'limited' | 'retry' | 'dead' | 'done' | 'scheduled', string> };
}

describe('a job', () => {
  it('is shown in its state with what belongs to it', async ({ world }) => {
    const { ids, pod } = await everyState(world);
    const queue = world.queue(lane);
    const show = (kind: keyof typeof ids) => showJob(queue, ids[kind]);
    const nothing = { gate: null, untilAt: null, sinceAt: null, reason: null, class: null };
    expect(await show('active')).toMatchObject({
      ...nothing,
      state: 'active',
      attempt: 1,
      pod: pod.name,
      startedAt: expect.any(Number),
      finishedAt: null,
    });
    expect(await show('done')).toMatchObject({
      ...nothing,
      state: 'done',
      result: 'result',
      attempt: 1,
      finishedAt: expect.any(Number),
      agent: 'a01',
    });
    expect(await show('scheduled')).toMatchObject({
      ...nothing,
      state: 'scheduled',
      untilAt: AT,
      sinceAt: expect.any(Number),
    });
    expect(await show('parked')).toMatchObject({
      state: 'parked',
      gate: 'schedule',
      untilAt: AT,
      reason: 'not open yet',
      attempt: 1,
      class: null,
    });
    expect(await show('limited')).toMatchObject({
      state: 'parked',
      gate: 'limit',
      untilAt: expect.any(Number),
      reason: 'slow',
    });
    expect(await show('retry')).toMatchObject({
      state: 'scheduled',
      gate: null,
      attempt: 2,
      reason: 'attempt 1 of 2 failed: transient: broke',
    });
    expect(await show('dead')).toMatchObject({
      state: 'dead',
      class: 'fatal',
      reason: 'no such channel',
      attempt: 1,
      stacks: [{ agent: 'a01', pod: pod.name }],
    });
  });

  it('that does not exist is unknown, by lane and id', async ({ world }) => {
    const refused = await rejection(showJob(world.queue(lane), 'j_none'));
    expect(refused).toMatchObject({ code: 'LK_UNKNOWN', message: expect.stringMatching(/"looks".*"j_none"/) });
  });

  it('whose id is one of the queue itself is unknown too', async ({ world }) => {
    await (await world.producer()).add(lane, null);
    for (const id of ['meta', 'wait', 'marker', '', 'events']) {
      expect(await rejection(showJob(world.queue(lane), id)), id).toMatchObject({ code: 'LK_UNKNOWN' });
    }
  });
});

describe('a lane', () => {
  it('counts what it holds', async ({ world }) => {
    await everyState(world);
    await vi.waitFor(
      async () =>
        expect(await countJobs(world.queue(lane))).toEqual({
          waiting: 0,
          parked: 2,
          scheduled: 2,
          active: 1,
          done: 1,
          dead: 1,
          isPaused: false,
          gates: { owner: 0, cooldown: 0, limit: 1, breaker: 0, pause: 0, schedule: 1 },
        }),
      RETRYING,
    );
  });

  it('lists each state, and only what is in it', async ({ world }) => {
    const { ids } = await everyState(world);
    const queue = world.queue(lane);
    const listed = async (...states: JobState[]) => (await listJobs(queue, states, 10)).map(({ id }) => id).sort();
    expect(await listed('waiting')).toEqual([]);
    expect(await listed('active')).toEqual([ids.active]);
    expect(await listed('parked')).toEqual([ids.parked, ids.limited].sort());
    expect(await listed('scheduled')).toEqual([ids.scheduled, ids.retry].sort());
    expect(await listed('done')).toEqual([ids.done]);
    expect(await listed('dead')).toEqual([ids.dead]);
    expect(await listed(...JOB_STATES)).toEqual(Object.values(ids).sort());
    expect(await listJobs(queue, JOB_STATES, 3)).toHaveLength(3);
  });

  it('lists what waits in the order in which it runs, and what ended the newest first', async ({ world }) => {
    const producer = await world.producer();
    const ids: string[] = [];
    for (const priority of [5, 0, 1, 0]) ids.push((await producer.add(lane, null, { priority })).id);
    const order = async (state: JobState) =>
      (await listJobs(world.queue(lane), [state], 10)).map(({ id }) => ids.indexOf(id));
    expect(await order('waiting')).toEqual([1, 3, 2, 0]);
    const one = defineLane({ name: 'looks', concurrency: 1 });
    await world.pod([handle(one, { run: () => tick() })]);
    await untilState(world.queue(lane), ids[0] as string, 'done');
    expect(await order('done')).toEqual([0, 2, 3, 1]);
  });
});

describe('why a job waits', () => {
  const why = (world: World, id: string, pods = 1, of: Lane = lane) => explainJob(world.queue(of), of, id, pods);

  it('is told in a sentence, for each state', async ({ world }) => {
    const { ids, pod } = await everyState(world);
    expect(await why(world, ids.active)).toMatchObject({
      state: 'active',
      because: `attempt 1 of 2 runs on ${pod.name}`,
      place: null,
      untilAt: null,
    });
    expect(await why(world, ids.done)).toMatchObject({
      state: 'done',
      because: 'attempt 1 ended it',
      sinceAt: expect.any(Number),
    });
    expect(await why(world, ids.dead)).toMatchObject({ state: 'dead', because: 'fatal: no such channel' });
    expect(await why(world, ids.parked)).toMatchObject({
      state: 'parked',
      gate: 'schedule',
      untilAt: AT,
      because: 'not open yet',
    });
    expect(await why(world, ids.limited)).toMatchObject({
      state: 'parked',
      gate: 'limit',
      untilAt: expect.any(Number),
      because: 'slow',
    });
    expect(await why(world, ids.scheduled)).toMatchObject({
      state: 'scheduled',
      gate: null,
      untilAt: AT,
      because: 'it was added for that instant',
    });
    expect(await why(world, ids.retry)).toMatchObject({
      state: 'scheduled',
      because: expect.stringContaining('attempt 1 of 2 failed'),
    });
  });

  it('names its place in line, by priority first, then by time, and how many are ahead', async ({ world }) => {
    const producer = await world.producer();
    const ids: string[] = [];
    for (const priority of [7, 0, 3, 0, 3]) ids.push((await producer.add(lane, null, { priority })).id);
    const places = await Promise.all(ids.map(async (id) => (await why(world, id)).place));
    expect(places).toEqual([5, 1, 3, 2, 4]);
    expect(await why(world, ids[4] as string)).toMatchObject({
      state: 'waiting',
      untilAt: null,
      because: '0 of 8 slots of its 1 pods are taken, 3 ahead of it',
    });
  });

  it('is that no pod runs its lane, or that the lane is paused, when that is why', async ({ world }) => {
    const { id } = await (await world.producer()).add(lane, null);
    expect(await why(world, id, 0)).toMatchObject({ place: 1, because: 'no running pod has this lane' });
    await world.queue(lane).queue.pause();
    expect(await why(world, id)).toMatchObject({
      state: 'waiting',
      gate: 'pause',
      place: 1,
      untilAt: null,
      because: 'the lane is paused',
    });
  });
});

it('a state is one of six words', () => {
  for (const state of JOB_STATES) expect(isJobState(state)).toBe(true);
  for (const word of ['completed', 'failed', 'delayed', '', 'toString']) expect(isJobState(word)).toBe(false);
});
