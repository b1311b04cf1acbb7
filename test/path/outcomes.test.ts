// Every way in which a handler can end becomes one outcome, stands in Redis, and takes nobody else down.

import { describe, expect, vi } from 'vitest';
import { type Context, dead, defineLane, handle, type Job, park, retry, UpstreamError } from '../../src/index.ts';
import type { JobView } from '../../src/path/inspect.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { it, type World } from '../support/world.ts';
import { RETRYING, untilState } from './looking.ts';

const once = { attempts: 1 };
type Run = (job: Job, ctx: Context) => unknown;
const thrower =
  (thrown: unknown): Run =>
  () => {
    throw thrown;
  };

/** Adds one job whose handler does this, and a plain one behind it that must not be held up; answers how the first ended. */
async function endOf(world: World, run: Run, state: 'done' | 'dead' | 'parked' | 'scheduled'): Promise<JobView> {
  const lane = defineLane({ name: 'ends', retry: once, concurrency: 1 });
  const producer = await world.producer();
  const { id } = await producer.add(lane, 'first');
  const behind = await producer.add(lane, 'behind');
  await world.pod([handle(lane, { run: (job, ctx) => (job.id === id ? run(job, ctx) : null) })]);
  await untilState(world.queue(lane), behind.id, 'done');
  return untilState(world.queue(lane), id, state);
}

describe('a result', () => {
  it.for([
    ['an object', { a: [1] }, { a: [1] }],
    ['a text', 'yes', 'yes'],
    ['nothing', undefined, null],
    ['null', null, null],
    ['false', false, false],
    ['what looks like an answer', { kind: 'dead' }, { kind: 'dead' }],
    ['a function, which JSON drops', () => 1, null],
  ] as const)('of %s is kept', async ([, result, kept], { world }) => {
    expect(await endOf(world, () => result, 'done')).toMatchObject({ result: kept, attempt: 1, class: null });
  });

  const circle: unknown[] = [];
  circle.push(circle);
  it.for([
    ['a BigInt', () => ({ n: 1n })],
    ['a circle', () => circle],
    ['more than a megabyte', () => 'x'.repeat(1024 * 1024)],
  ] as const)('of %s cannot be kept: dead, and not run again', async ([, run], { world }) => {
    expect(await endOf(world, run, 'dead')).toMatchObject({
      class: 'fatal',
      attempt: 1,
      reason: expect.stringMatching(/^its result/),
    });
  });
});

describe('what is thrown', () => {
  it.for([
    ['an Error', new Error('no'), 'no'],
    ['a text', 'said so', 'said so'],
    ['null', null, 'null'],
    ['undefined', undefined, 'nothing'],
    ['a number', 5, '5'],
    ['an object', { a: 1 }, '{"a":1}'],
    ['an Error without a stack', Object.assign(new Error('bare'), { stack: undefined }), 'bare'],
    ['a frozen Error', Object.freeze(new Error('cold')), 'cold'],
  ] as const)('(%s) becomes a dead letter that says it', async ([, thrown, said], { world }) => {
    const letter = await endOf(world, thrower(thrown), 'dead');
    expect(letter).toMatchObject({ class: 'transient', attempt: 1, reason: expect.stringContaining(said) });
    expect(letter.stacks).toHaveLength(1);
  });

  const booby = {
    get name() {
      throw new Error('looked at');
    },
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  it.for([
    ['an object that breaks when looked at', booby],
    ['a revoked proxy', revoked.proxy],
    ['an Error whose message is no text', Object.assign(new Error('x'), { message: Symbol('s') })],
    ['an Error whose stack is no text', Object.assign(new Error('x'), { stack: Symbol('s') })],
    [
      'an Error that is its own cause',
      (() => {
        const e = new Error('x');
        e.cause = e;
        return e;
      })(),
    ],
  ] as [string, unknown][])('(%s) is buried too, and not left to lock its job', async ([, thrown], { world }) => {
    expect(await endOf(world, thrower(thrown), 'dead')).toMatchObject({ class: 'transient', attempt: 1 });
  });
});

describe('an UpstreamError', () => {
  it.for(['transient', 'timeout', 'schema-drift', 'gone', 'auth', 'fatal'] as const)(
    'of class %s is dead with it when the attempts are used',
    async (ofClass, { world }) => {
      const error = new UpstreamError('it said no', { class: ofClass, status: 500 });
      expect(await endOf(world, thrower(error), 'dead')).toMatchObject({ class: ofClass, reason: 'it said no' });
    },
  );

  it.for(['rate-limit', 'quota'] as const)(
    'of class %s parks until the upstream listens again',
    async (ofClass, { world }) => {
      const retryAfterAt = Date.now() + 3_600_000;
      const error = new UpstreamError('later', { class: ofClass, status: 429, retryAfterAt });
      const parked = await endOf(world, thrower(error), 'parked');
      expect(parked).toMatchObject({ gate: 'limit', reason: 'later', attempt: 1, class: null });
      expect(parked.untilAt).toBeGreaterThanOrEqual(retryAfterAt);
    },
  );

  it.for([Number.NaN, Number.POSITIVE_INFINITY, 1e20, 'tomorrow' as never, {} as never])(
    'that asks to come back at %s is parked all the same',
    async (retryAfterAt, { world }) => {
      const error = new UpstreamError('later', { class: 'rate-limit', status: 429, retryAfterAt });
      const parked = await endOf(world, thrower(error), 'parked');
      expect(parked).toMatchObject({ gate: 'limit', attempt: 1 });
      expect(Number.isFinite(parked.untilAt)).toBe(true);
    },
  );
});

describe('the instant an upstream named', () => {
  it('is the instant that is told and kept, on a clock that moves between two looks as well', async ({ world }) => {
    const lane = defineLane({ name: 'named' });
    const retryAfterAt = Date.UTC(2040, 0, 1);
    const error = new UpstreamError('later', { class: 'rate-limit', status: 429, retryAfterAt });
    let looks = 0;
    const clock = { now: () => Date.now() + looks++, mono: () => performance.now() };
    const { id } = await (await world.producer()).add(lane, null);
    await world.pod([handle(lane, { run: thrower(error) })], { clock });
    expect(await untilState(world.queue(lane), id, 'parked')).toMatchObject({ untilAt: retryAfterAt });
  });
});

describe('an answer', () => {
  it('of dead buries with its reason, whatever attempts are left', async ({ world }) => {
    const lane = defineLane({ name: 'answers' });
    const { id } = await (await world.producer()).add(lane, null);
    await world.pod([handle(lane, { run: () => dead('no such channel') })]);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({
      class: 'fatal',
      reason: 'no such channel',
      attempt: 1,
    });
  });

  it('for an instant that has passed waits a second all the same: it would go round for ever', async ({ world }) => {
    const lane = defineLane({ name: 'past' });
    const pod = await world.pod([handle(lane, { run: () => park({ until: 5, reason: 'long ago' }) })]);
    const ends: (number | undefined)[] = [];
    pod.events.on('attempt.finished', ({ untilAt }) => void ends.push(untilAt));
    const before = Date.now();
    await (await world.producer()).add(lane, null);
    await vi.waitFor(() => expect(ends.length).toBeGreaterThanOrEqual(2), RETRYING);
    expect(ends[0]).toBeGreaterThanOrEqual(before + 1_000);
    expect(ends[1]).toBeGreaterThanOrEqual(before + 2_000);
  });

  it('of park waits until then and uses no attempt', async ({ world }) => {
    const lane = defineLane({ name: 'answers', retry: once });
    const until = new Date('2040-01-01T00:00:00Z');
    const { id } = await (await world.producer()).add(lane, null);
    await world.pod([handle(lane, { run: () => park({ until, reason: 'not open yet' }) })]);
    expect(await untilState(world.queue(lane), id, 'parked')).toMatchObject({
      gate: 'schedule',
      untilAt: until.getTime(),
      reason: 'not open yet',
      attempt: 1,
      stacks: [],
    });
  });

  it.for([
    ['park', { until: 'tomorrow', reason: '' }],
    ['park', { until: Number.NaN, reason: '' }],
    ['park', {}],
    ['retry', { after: 'soon' }],
    ['retry', { after: -1 }],
    ['retry', { after: null }],
  ] as const)(
    'of %s that makes no sense (%j) is dead and says what was expected',
    async ([kind, options], { world }) => {
      const answer = kind === 'park' ? park(options as never) : retry(options as never);
      expect(await endOf(world, () => answer, 'dead')).toMatchObject({
        class: 'fatal',
        reason: expect.stringMatching(new RegExp(`^${kind}.*: expected .+, got .+$`)),
      });
    },
  );
});

describe('limits and quotas', () => {
  it('park a job at most 50 times; then it is dead as rate-limit, with no attempt used before', async ({ world }) => {
    const lane = defineLane({ name: 'limited', retry: once });
    const { id } = await (await world.producer()).add(lane, null);
    const queue = world.queue(lane);
    await world.redis.hset(queue.jobKey(id), JOB_FIELDS.parks, 47);
    const attempts: number[] = [];
    const run: Run = ({ attempt }) => {
      attempts.push(attempt);
      throw new UpstreamError('429', { class: 'rate-limit', status: 429, retryAfterAt: Date.now() + 40 });
    };
    await world.pod([handle(lane, { run })]);
    expect(await untilState(queue, id, 'dead')).toMatchObject({ class: 'rate-limit', attempt: 1, reason: '429' });
    expect(attempts).toEqual([1, 1, 1, 1]);
  });
});
