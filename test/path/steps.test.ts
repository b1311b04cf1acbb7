// What a job has done stays done: a retried attempt goes on behind its last step, or is refused when the steps are others.

import { describe, expect } from 'vitest';
import { type Context, defineLane, handle } from '../../src/index.ts';
import { replayDead } from '../../src/path/dead-letters.ts';
import { STEP_FIELD } from '../../src/words/keys.ts';
import { it, type World } from '../support/world.ts';
import { BY_ANN, untilState } from './looking.ts';

const retry = { attempts: 3, backoff: [0], jitter: 0 };
const lane = defineLane({ name: 'stepping', retry });

type Run = (ctx: Context, attempt: number) => unknown;

async function runOnce(world: World, run: Run) {
  const pod = await world.pod([handle(lane, { run: ({ attempt }, ctx) => run(ctx, attempt) })]);
  const { id } = await (await world.producer()).add(lane, null);
  return { pod, id, queue: world.queue(lane) };
}

async function stepsOf(world: World, id: string): Promise<Record<string, unknown>> {
  const all = await world.redis.hgetall(world.queue(lane).jobKey(id));
  return Object.fromEntries(
    Object.entries(all).flatMap(([field, text]) =>
      field.startsWith(STEP_FIELD) ? [[field.slice(STEP_FIELD.length), JSON.parse(text)]] : [],
    ),
  );
}

describe('a step', () => {
  it('that is done is not done again by a later attempt, which gets its result', async ({ world }) => {
    const did: string[] = [];
    const { id, queue } = await runOnce(world, async ({ step }, attempt) => {
      const a = await step('a', () => `a${did.push('a')}`);
      const b = await step('b', () => {
        did.push('b');
        if (attempt < 3) throw new Error('not yet');
        return { from: a };
      });
      return { a, b };
    });
    expect(await untilState(queue, id, 'done')).toMatchObject({ attempt: 3, result: { a: 'a1', b: { from: 'a1' } } });
    expect(did).toEqual(['a', 'b', 'b', 'b']);
    expect(await stepsOf(world, id)).toEqual({ 0: ['a', 'a1'], 1: ['b', { from: 'a1' }] });
  });

  it('gives what JSON keeps of its result, on the first start as on the next', async ({ world }) => {
    const seen: unknown[] = [];
    const { id, queue } = await runOnce(world, async ({ step }, attempt) => {
      seen.push(await step('when', () => ({ at: new Date(0), gone: undefined, list: [undefined] })));
      seen.push(await step('nothing', () => undefined));
      if (attempt === 1) throw new Error('again');
    });
    await untilState(queue, id, 'done');
    const kept = { at: '1970-01-01T00:00:00.000Z', list: [null] };
    expect(seen).toEqual([kept, undefined, kept, undefined]);
  });

  it('is read on a later start alone: a first one asks Redis for nothing', async ({ world }) => {
    const producer = await world.producer();
    const { id } = await producer.add(lane, null);
    await world.redis.hset(world.queue(lane).jobKey(id), `${STEP_FIELD}0`, '["a","planted"]');
    await world.pod([handle(lane, { run: (_, { step }) => step('a', () => 'made') })]);
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: 'made' });
  });

  it('may run beside another', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ step }, attempt) => {
      const both = Promise.all([
        step('slow', () => (attempt === 1 ? Promise.reject(new Error('slow broke')) : 'slow')),
        step('quick', () => `quick ${attempt}`),
      ]);
      return both;
    });
    expect((await untilState(queue, id, 'done')).result).toEqual(['slow', expect.stringMatching(/^quick [12]$/)]);
  });

  it('of an attempt that lost its job is not written', async ({ world }) => {
    let starts = 0;
    const { id, queue } = await runOnce(world, async ({ step }) => {
      if (++starts > 1) return 'by the other';
      await step('stolen', async () => {
        await world.redis.set(`${queue.jobKey(id)}:lock`, 'another', 'PX', 300);
        return 'never';
      });
      return 'by the first';
    });
    expect(await untilState(queue, id, 'done')).toMatchObject({ result: 'by the other' });
    expect(await stepsOf(world, id)).toEqual({});
  });
});

describe('steps that are not what they should be', () => {
  const broken: [string, Run, string][] = [
    [
      'have one name twice',
      async ({ step }) => [await step('a', () => 1), await step('a', () => 2)],
      'step "a": expected each name once',
    ],
    ['have no name', ({ step }) => step('', () => 1), 'name of a step: expected'],
    ['have a name of two lines', ({ step }) => step('a\nb', () => 1), 'name of a step: expected'],
    [
      'keep more than 64 KB',
      ({ step }) => step('big', () => 'x'.repeat(64 * 1024)),
      'step "big": expected at most 65536 bytes',
    ],
    [
      'keep more than 64 KB in bytes',
      ({ step }) => step('big', () => 'é'.repeat(33_000)),
      'step "big": expected at most 65536 bytes',
    ],
    [
      'keep more than 256 KB together',
      async ({ step }) => {
        for (let n = 0; n < 5; n++) await step(`s${n}`, () => 'x'.repeat(60_000));
      },
      'all steps with "s4": expected at most 262144 bytes',
    ],
    ['return what JSON cannot hold', ({ step }) => step('n', () => 1n), 'step "n": expected a result JSON can hold'],
  ];
  it.for(broken)('because they %s end their job, with the reason', async ([, run, said], { world }) => {
    const { id, queue } = await runOnce(world, run);
    const letter = await untilState(queue, id, 'dead');
    expect(letter).toMatchObject({ class: 'fatal', attempt: 1, reason: expect.stringContaining(said) });
  });

  it('of 64 KB each, and 256 KB together, are kept (twin)', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ step }) => {
      for (let n = 0; n < 4; n++) await step(`s${n}`, () => 'x'.repeat(65_500));
      return 'kept';
    });
    expect(await untilState(queue, id, 'done')).toMatchObject({ result: 'kept' });
  });
});

describe('after a deploy', () => {
  /** A job that did `a` and `b` in its first attempt, and meets other code in the second. */
  function deployed(world: World, second: (ctx: Context) => unknown) {
    const code = { second };
    const running = runOnce(world, async (ctx, attempt) => {
      if (attempt > 1) return code.second(ctx);
      await ctx.step('a', () => 1);
      await ctx.step('b', () => 2);
      throw new Error('deploy me');
    });
    return running.then((started) => ({ ...started, code }));
  }

  it.for([
    ['renamed', ['a', 'b2'], '"b" stood at place 2'],
    ['reordered', ['b', 'a'], '"a" stood at place 1'],
    ['preceded by a new one', ['new', 'a', 'b'], '"a" stood at place 1'],
    ['without their first', ['b'], '"a" stood at place 1'],
  ] as const)(
    'steps that were %s are refused, and go on when the old order is back',
    async ([, names, said], { world }) => {
      const { id, queue, code } = await deployed(world, async ({ step }) => {
        for (const name of names) await step(name, () => 'done again');
      });
      const letter = await untilState(queue, id, 'dead');
      expect(letter).toMatchObject({ class: 'fatal', attempt: 2, reason: expect.stringContaining(said) });
      const did: string[] = [];
      const old = async ({ step }: Context) => ({
        a: await step('a', () => did.push('a')),
        b: await step('b', () => did.push('b')),
        c: await step('c', () => did.push('c')),
      });
      code.second = old;
      await replayDead(queue, id, BY_ANN);
      expect((await untilState(queue, id, 'done')).result).toEqual({ a: 1, b: 2, c: 1 });
      expect(did).toEqual(['c']);
    },
  );

  it('steps that go on behind the old ones are run (twin)', async ({ world }) => {
    const { id, queue } = await deployed(world, async ({ step }) => [
      await step('a', () => 'x'),
      await step('b', () => 'x'),
      await step('c', () => 3),
    ]);
    expect((await untilState(queue, id, 'done')).result).toEqual([1, 2, 3]);
  });
});

describe('when the job is done', () => {
  it.for([
    ['small results stay, as its history', 100, 1],
    ['large ones are given back', 10_000, 0],
  ] as const)('%s', async ([, size, count], { world }) => {
    const { id, queue } = await runOnce(world, ({ step }) => step('a', () => 'x'.repeat(size)).then(() => null));
    await untilState(queue, id, 'done');
    await expect.poll(async () => Object.keys(await stepsOf(world, id)).length).toBe(count);
  });
});

describe('an optional step', () => {
  it('that fails is replaced, told once and counted, and not tried again', async ({ world }) => {
    const did: string[] = [];
    const { pod, id, queue } = await runOnce(world, async ({ optional, step }, attempt) => {
      const value = await optional('nice', () => Promise.reject(new Error(`no ${did.push('nice')}`)), 'plain');
      const made = await optional(
        'made',
        () => Promise.reject(new Error('odd')),
        (error) => `made of ${error.message}`,
      );
      await step('then', () => (attempt === 1 ? Promise.reject(new Error('again')) : 1));
      return [value, made];
    });
    const seen = world.record(pod);
    expect(await untilState(queue, id, 'done')).toMatchObject({ attempt: 2, result: ['plain', 'made of odd'] });
    expect(did).toHaveLength(1);
    const degraded = seen.filter(({ name }) => name === 'step.degraded').map(({ data }) => data);
    expect(degraded).toEqual([
      { lane: lane.name, job: id, attempt: 1, step: 'nice', class: 'transient', reason: 'no 1' },
      { lane: lane.name, job: id, attempt: 1, step: 'made', class: 'transient', reason: 'odd' },
    ]);
  });

  it('that goes well is a step like any other (twin)', async ({ world }) => {
    const { pod, id, queue } = await runOnce(world, ({ optional }) => optional('nice', () => 'well', 'plain'));
    const seen = world.record(pod);
    expect(await untilState(queue, id, 'done')).toMatchObject({ result: 'well' });
    expect(seen.map(({ name }) => name)).not.toContain('step.degraded');
  });

  it('is no excuse for steps that are wrong, nor for an attempt that is over', async ({ world }) => {
    const { id, queue } = await runOnce(world, async ({ optional, step }) => {
      await step('a', () => 1);
      return optional('b', () => step('a', () => 2), 'plain');
    });
    expect(await untilState(queue, id, 'dead')).toMatchObject({ class: 'fatal' });
  });
});
