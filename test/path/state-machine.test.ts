// A job's states against a model, on a real lane with a pod: whatever is done to it in whatever order, it lies in exactly one set,
// an attempt is used by a failure and by nothing else, and done and dead are final until somebody replays.

import type { Queue } from 'bullmq';
import fc from 'fast-check';
import { describe, expect, vi } from 'vitest';
import { dead, defineLane, handle, type Job, type Producer, park, retry, UpstreamError } from '../../src/index.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { replayDead } from '../../src/path/dead-letters.ts';
import { showJob } from '../../src/path/inspect.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { it, type World } from '../support/world.ts';
import { BY_ANN, plainQueue, RETRYING, rejection } from './looking.ts';

const ATTEMPTS = 2;
const lane = defineLane({ name: 'machine', retry: { attempts: ATTEMPTS, backoff: [1], jitter: 0 }, concurrency: 100 });
const FAR_AT = Date.UTC(2090, 0, 1);
const SETS = ['wait', 'paused', 'prioritized', 'active', 'delayed', 'completed', 'failed'];

interface Known {
  id: string;
  state: 'scheduled' | 'active' | 'parked' | 'done' | 'dead' | 'cancelled';
  /** Of the attempt that runs or would run next; of the last one, when it has ended. */
  attempt: number;
}
type Model = { jobs: Known[] };

interface Real {
  world: World;
  queue: LaneQueue;
  producer: Producer;
  plain: Queue;
  running: Map<string, { job: Job; end: (answer: () => unknown) => void }>;
  /** The last fence of each job, and what must never happen. */
  fences: Map<string, number>;
  broken: string[];
}

type Step = fc.AsyncCommand<Model, Real>;

/** A command on some job; `pick` chooses among those in such a state, or among all where none is. */
function onJob(
  name: string,
  pick: number,
  states: Known['state'][],
  act: (known: Known, real: Real) => Promise<void>,
): Step {
  return {
    check: ({ jobs }) => jobs.length > 0,
    async run({ jobs }, real) {
      const fitting = jobs.filter(({ state }) => states.includes(state));
      const among = fitting.length > 0 ? fitting : jobs;
      await act(among[pick % among.length] as Known, real);
      await expectAll(jobs, real);
    },
    toString: () => `${name}(${pick})`,
  };
}

function adding(name: string, state: Known['state'], add: (real: Real) => Promise<string>): Step {
  return {
    check: ({ jobs }) => jobs.length < 3,
    async run({ jobs }, real) {
      jobs.push({ id: await add(real), state, attempt: 1 });
      await expectAll(jobs, real);
    },
    toString: () => name,
  };
}

/** What a handler can do, and what becomes of its job. */
const ends: Record<string, { answer: () => unknown; next: (known: Known) => Partial<Known> }> = {
  ok: { answer: () => 'ok', next: () => ({ state: 'done' }) },
  throws: { answer: thrower(() => new Error('broke')), next: afterFailure },
  retries: { answer: () => retry({ after: 1 }), next: afterFailure },
  dies: { answer: () => dead('enough'), next: () => ({ state: 'dead' }) },
  isGone: { answer: thrower(() => upstream('gone')), next: () => ({ state: 'dead' }) },
  parks: { answer: () => park({ until: FAR_AT, reason: 'later' }), next: () => ({ state: 'parked' }) },
  'meets a limit': { answer: thrower(() => upstream('rate-limit')), next: () => ({ state: 'parked' }) },
};

function afterFailure({ attempt }: Known): Partial<Known> {
  return attempt < ATTEMPTS ? { attempt: attempt + 1 } : { state: 'dead' };
}

function upstream(ofClass: 'gone' | 'rate-limit'): Error {
  return new UpstreamError('no', { class: ofClass, status: null, retryAfterAt: FAR_AT });
}

function thrower(make: () => Error): () => never {
  return () => {
    throw make();
  };
}

const pick = fc.nat(20);
const steps: fc.Arbitrary<Step>[] = [
  fc.constant(adding('add', 'active', async ({ producer }) => (await producer.add(lane, {})).id)),
  fc.constant(
    adding('addUrgent', 'active', async ({ producer }) => (await producer.add(lane, {}, { priority: 5 })).id),
  ),
  fc.constant(
    adding('addLater', 'scheduled', async ({ producer }) => (await producer.add(lane, {}, { at: FAR_AT })).id),
  ),
  fc.constant(
    adding('addPlain', 'active', async ({ plain }) => (await plain.add('x', {}, { attempts: 9 })).id as string),
  ),
  ...Object.entries(ends).map(([name, { answer, next }]) =>
    pick.map((n) =>
      onJob(name, n, ['active'], async (known, { running }) => {
        if (known.state !== 'active') return;
        const one = running.get(known.id);
        running.delete(known.id);
        one?.end(answer);
        Object.assign(known, next(known));
      }),
    ),
  ),
  pick.map((n) =>
    onJob('cancel', n, [], async (known, { queue, world: { keys } }) => {
      if (['scheduled', 'parked'].includes(known.state)) {
        await cancelJob(queue, keys, known.id);
        known.state = 'cancelled';
      } else expect(await rejection(cancelJob(queue, keys, known.id))).toMatchObject({ code: /LK_STATE|LK_UNKNOWN/ });
    }),
  ),
  pick.map((n) =>
    onJob('replayAny', n, [], async (known, { queue }) => {
      if (known.state === 'dead') return;
      expect(await rejection(replayDead(queue, known.id, BY_ANN))).toMatchObject({ code: /LK_STATE|LK_UNKNOWN/ });
    }),
  ),
  pick.map((n) =>
    onJob('replay', n, ['dead'], async (known, { queue }) => {
      if (known.state === 'dead') {
        await replayDead(queue, known.id, BY_ANN);
        Object.assign(known, { state: 'active', attempt: 1 });
      } else
        expect(await rejection(replayDead(queue, known.id, BY_ANN))).toMatchObject({ code: /LK_STATE|LK_UNKNOWN/ });
    }),
  ),
  pick.map((n) =>
    onJob('itsTimeComes', n, ['scheduled', 'parked'], async (known, { queue }) => {
      if (!['scheduled', 'parked'].includes(known.state)) return;
      await queue.backend.promote(known.id);
      known.state = 'active';
    }),
  ),
];

async function expectAll(jobs: readonly Known[], real: Real): Promise<void> {
  const { queue, running, broken } = real;
  await vi.waitFor(async () => {
    for (const known of jobs) {
      const { id, state, attempt } = known;
      const sets = await setsOf(real, id);
      if (state === 'cancelled') {
        expect({ id, sets }).toEqual({ id, sets: [] });
        continue;
      }
      expect(await showJob(queue, id)).toMatchObject({ id, state, attempt });
      expect({ id, count: sets.length, sets }).toEqual({ id, count: 1, sets });
      // The handler has it, with the number of the attempt that the queue has.
      if (state === 'active') expect(running.get(id)?.job.attempt).toBe(attempt);
      else expect(running.has(id)).toBe(false);
    }
  }, RETRYING);
  expect(broken).toEqual([]);
}

async function setsOf({ world: { redis }, queue }: Real, id: string): Promise<string[]> {
  const found = await Promise.all(
    SETS.map(async (set) => {
      const key = queue.backend.toKey(set);
      const isList = ['wait', 'paused', 'active'].includes(set);
      return isList
        ? (await redis.lpos(key, id, 'COUNT', 0)).map(() => set)
        : (await redis.zscore(key, id)) === null
          ? []
          : [set];
    }),
  );
  return found.flat();
}

describe('a job', () => {
  it('is in the state the model says, whatever is done in whatever order', async ({ world }) => {
    const running: Real['running'] = new Map();
    const fences: Real['fences'] = new Map();
    const broken: string[] = [];
    const handler = handle(lane, {
      run: (job, { fence }) =>
        new Promise<unknown>((resolve, reject) => {
          if (running.has(job.id)) broken.push(`${job.id} was started while it ran`);
          if (Number(fence) <= (fences.get(job.id) ?? 0)) broken.push(`the fence of ${job.id} fell to ${fence}`);
          fences.set(job.id, Number(fence));
          const end = (answer: () => unknown) => {
            try {
              resolve(answer());
            } catch (thrown) {
              reject(thrown);
            }
          };
          running.set(job.id, { job, end });
        }),
    });
    await world.pod([handler], { concurrency: 1_000 });
    const real: Real = {
      world,
      queue: world.queue(lane),
      producer: await world.producer(),
      plain: plainQueue(world, lane),
      running,
      fences,
      broken,
    };
    let model: Model = { jobs: [] };
    await fc.assert(
      fc.asyncProperty(fc.commands(steps, { maxCommands: 40, size: 'max' }), async (commands) => {
        await fc.asyncModelRun(() => {
          model = { jobs: [] };
          return { model, real };
        }, commands);
        // What still runs would be in the way of nobody, but of the lane's slots.
        for (const one of running.values()) one.end(() => 'over');
        running.clear();
      }),
      // No time limit: fast-check takes a run that it cuts off, such as one that waits for a wrong state, for a good one.
      { numRuns: 60, endOnFailure: true },
    );
  });

  it('that was started twice would be seen (twin)', async ({ world }) => {
    const queue = world.queue(lane);
    const producer = await world.producer();
    const { id } = await producer.add(lane, {});
    const real = { world, queue } as Real;
    expect(await setsOf(real, id)).toEqual(['wait']);
    await world.redis.lpush(queue.backend.toKey('active'), id);
    expect(await setsOf(real, id)).toEqual(['wait', 'active']);
  });
});
