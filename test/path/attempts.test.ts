// Attempts: how many, how far apart, and what becomes of one that does not end by itself.

import { describe, expect, vi } from 'vitest';
import { type Context, defineLane, handle, park, retry } from '../../src/index.ts';
import type { Events } from '../../src/words/events.ts';
import { it } from '../support/world.ts';
import { gate, plainQueue, RETRYING, rejection, untilState } from './looking.ts';

describe('a job that fails', () => {
  it('is tried again after each step of the backoff, never sooner, until the attempts are used', async ({ world }) => {
    const steps = [100, 200, 400]; // 2, 4, 8 s, a twentieth
    const lane = defineLane({ name: 'backoff', retry: { attempts: 4, backoff: steps, jitter: 0 } });
    const { id } = await (await world.producer()).add(lane, null);
    const starts: { attempt: number; at: number }[] = [];
    const run = ({ attempt }: { attempt: number }) => {
      starts.push({ attempt, at: performance.now() });
      throw new Error(`broke ${attempt}`);
    };
    await world.pod([handle(lane, { run })]);
    const letter = await untilState(world.queue(lane), id, 'dead');
    expect(starts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    const gaps = starts.slice(1).map(({ at }, index) => at - (starts[index]?.at as number));
    // 2 ms: wall clock and monotonic clock are rounded apart.
    for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual((steps[index] as number) - 2);
    expect(letter.stacks.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    expect(letter).toMatchObject({ reason: 'broke 4', attempt: 4 });
  });

  it('waits as long as its handler asked, and keeps the count', async ({ world }) => {
    const lane = defineLane({ name: 'asked', retry: { attempts: 2, backoff: ['1h'] } });
    const { id } = await (await world.producer()).add(lane, null);
    const run = ({ attempt }: { attempt: number }) =>
      attempt === 1 ? retry({ after: '50ms', reason: 'not yet' }) : 'second';
    await world.pod([handle(lane, { run })]);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: 'second', attempt: 2 });
  });

  it('shows while it waits which attempt failed, of what, and until when', async ({ world }) => {
    const lane = defineLane({ name: 'shown', retry: { attempts: 2, backoff: ['1h'] } });
    const { id } = await (await world.producer()).add(lane, null);
    await world.pod([handle(lane, { run: () => retry({ reason: 'not yet' }) })]);
    expect(await untilState(world.queue(lane), id, 'scheduled')).toMatchObject({
      reason: 'attempt 1 of 2 failed: transient: not yet',
      attempt: 2,
    });
  });

  it('that asks for a retry on its last attempt is dead', async ({ world }) => {
    const lane = defineLane({ name: 'last', retry: { attempts: 1 } });
    const { id } = await (await world.producer()).add(lane, null);
    await world.pod([handle(lane, { run: () => retry({ after: 0, reason: 'again' }) })]);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({ class: 'transient', reason: 'again' });
  });
});

describe('a park', () => {
  it('uses no attempt, however often, but every start is counted in the fence', async ({ world }) => {
    const lane = defineLane({ name: 'parks', retry: { attempts: 1 } });
    const { id } = await (await world.producer()).add(lane, null);
    const seen: { attempt: number; fence: string }[] = [];
    const run = ({ attempt }: { attempt: number }, { fence }: Context) => {
      seen.push({ attempt, fence });
      return seen.length < 4 ? park({ until: Date.now(), reason: 'not yet' }) : 'ran';
    };
    await world.pod([handle(lane, { run })]);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: 'ran', attempt: 1 });
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
    const fences = seen.map(({ fence }) => Number(fence));
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
  });
});

describe('an attempt that does not end', () => {
  it('is cut off by its timeout, its signal fires, and its context sends nothing more', async ({ world }) => {
    const lane = defineLane({ name: 'endless', timeout: '50ms', retry: { attempts: 1 } });
    const { id } = await (await world.producer()).add(lane, null);
    let ctx: Context | undefined;
    await world.pod([
      handle(lane, {
        run: (_, given) => {
          ctx = given;
          return new Promise(() => {});
        },
      }),
    ]);
    const letter = await untilState(world.queue(lane), id, 'dead');
    expect(letter).toMatchObject({ class: 'timeout', reason: 'no end within 50 ms' });
    const { signal, fetch, progress } = ctx as Context;
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
    expect(await rejection(fetch('http://127.0.0.1:1/'))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(await rejection(progress(50))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
  });

  it('may throw when nobody waits for it any more: it hurts nobody', async ({ world }) => {
    const lane = defineLane({ name: 'late', timeout: '50ms', retry: { attempts: 1 } });
    const producer = await world.producer();
    const { id } = await producer.add(lane, null);
    const held = gate();
    const over = gate();
    const run = async ({ payload }: { payload: unknown }) => {
      if (payload === 'next') return 'ran';
      await held.opened;
      over.open();
      throw new Error('too late');
    };
    await world.pod([handle(lane, { run })]);
    await untilState(world.queue(lane), id, 'dead');
    held.open();
    await over.opened;
    const next = await producer.add(lane, 'next');
    await untilState(world.queue(lane), next.id, 'done');
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({ class: 'timeout' });
  });

  it('that ended well leaves its signal alone, and its context sends nothing more either', async ({ world }) => {
    const lane = defineLane({ name: 'well' });
    const { id } = await (await world.producer()).add(lane, null);
    let ctx: Context | undefined;
    const run = (_: unknown, given: Context) => {
      ctx = given;
    };
    const pod = await world.pod([handle(lane, { run })]);
    await untilState(world.queue(lane), id, 'done');
    const { fetch, progress, signal } = ctx as unknown as Context;
    expect(await rejection(fetch('http://127.0.0.1:1/'))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(await rejection(progress(50))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    await pod.stop('over');
    expect(signal.aborted).toBe(false);
  });
});

describe('what is told', () => {
  it('is one start and one end per attempt, with what came of it', async ({ world }) => {
    const lane = defineLane({ name: 'told', retry: { attempts: 2, backoff: [0], jitter: 0 } });
    const pod = await world.pod([
      handle(lane, { run: ({ attempt }) => (attempt === 1 ? Promise.reject(new Error('first')) : 'ok') }),
    ]);
    const seen = world.record(pod);
    const { id } = await plainQueue(world, lane).add('x', { lk: 1, payload: null, agent: 'a01' });
    const ends = () =>
      seen.filter(({ name }) => name === 'attempt.finished').map(({ data }) => data as Events['attempt.finished']);
    await vi.waitFor(() => expect(ends()).toHaveLength(2), RETRYING);
    expect(seen.filter(({ name }) => name === 'attempt.started')).toHaveLength(2);
    const ref = { lane: 'told', job: id, agent: 'a01', durationMs: expect.any(Number) };
    expect(ends()).toEqual([
      { ...ref, attempt: 1, outcome: 'retry', class: 'transient', reason: 'first', untilAt: expect.any(Number) },
      { ...ref, attempt: 2, outcome: 'done' },
    ]);
  });

  it('of progress stands beside the job, and nonsense is refused', async ({ world }) => {
    const lane = defineLane({ name: 'progress', retry: { attempts: 1 } });
    const { id } = await (await world.producer()).add(lane, null);
    const refused: unknown[] = [];
    const run = async (_: unknown, ctx: Context) => {
      await ctx.progress(40);
      for (const percent of [-1, 101, Number.NaN, '50' as never])
        refused.push((await rejection(ctx.progress(percent))).code);
    };
    await world.pod([handle(lane, { run })]);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ progress: 40 });
    expect(refused).toEqual(Array(4).fill('LK_INPUT'));
  });
});
