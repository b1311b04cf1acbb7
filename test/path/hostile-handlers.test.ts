// Whatever a handler returns, throws or asks of its context: its job ends with a reason, and the lane and the pod go on.

import { describe, expect } from 'vitest';
import { type Context, dead, defineLane, handle, park, retry, type UpstreamError } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import { it } from '../support/world.ts';
import { booby, getter, revoked } from './hostile.ts';
import { untilState } from './looking.ts';

const lane = defineLane({ name: 'hands', retry: { attempts: 1 } });
const deep = JSON.parse(`${'['.repeat(8_000)}${']'.repeat(8_000)}`) as unknown;

/** Answers once, and throws from then on. */
function flips(): Error {
  let looks = 0;
  return Object.defineProperty(new Error(), 'message', {
    get() {
      if (looks++ > 1) throw new Error('looked at twice');
      return 'once';
    },
  });
}

const withGetter = (name: keyof UpstreamError) =>
  Object.defineProperty(new Error('broke'), name, {
    get() {
      throw new Error('looked at');
    },
  });

function circular(): Error {
  const error = new Error('round');
  error.cause = error;
  return error;
}

const thrown = (make: () => unknown) => () => {
  throw make();
};

/** What it does, and the class and reason it ends with. */
const endings: Record<string, [(ctx: Context) => unknown, string, string | RegExp]> = {
  'returns a BigInt': [() => 1n, 'fatal', /cannot be stored as JSON/],
  'returns a revoked proxy': [() => revoked(), 'transient', /proxy that has been revoked/],
  'returns a proxy that throws': [() => booby(), 'transient', /^booby/],
  'returns a getter that throws': [() => getter('a'), 'fatal', /cannot be stored as JSON: the getter/],
  'returns a million holes': [() => new Array(1_000_000), 'fatal', /expected at most 1048576 characters/],
  'retries for a Symbol': [() => retry({ reason: Symbol('s') as never }), 'transient', 'a symbol'],
  'retries for an object without a text': [() => retry({ reason: Object.create(null) }), 'transient', '{}'],
  'retries for a proxy': [() => retry({ reason: revoked() as never }), 'transient', 'an unprintable object'],
  'retries after NaN': [() => retry({ after: Number.NaN }), 'fatal', /expected a duration, got NaN/],
  'retries after -5': [() => retry({ after: -5 }), 'fatal', /got -5/],
  'retries after 1e308': [() => retry({ after: 1e308 }), 'fatal', /got 1e\+308/],
  'retries with null': [() => retry(null as never), 'transient', 'the handler asked for a retry'],
  'parks until NaN': [() => park({ until: Number.NaN, reason: 'x' }), 'fatal', /got NaN/],
  'parks until -1': [() => park({ until: -1, reason: 'x' }), 'fatal', /got -1/],
  'parks until no date': [() => park({ until: new Date('x'), reason: 'x' }), 'fatal', /got null/],
  'parks until 1e308': [() => park({ until: 1e308, reason: 'x' }), 'fatal', /1e\+308/],
  'parks until a proxy': [() => park({ until: revoked() as never, reason: 'x' }), 'fatal', /an unprintable object/],
  'parks with null': [() => park(null as never), 'fatal', /got nothing/],
  'is dead for an object': [() => dead(Object.create(null) as never), 'fatal', '{}'],
  'is dead for 5 MB': [() => dead('x'.repeat(5_000_000)), 'fatal', /^x{8192}$/],
  'throws null': [thrown(() => null), 'transient', 'a handler threw null, not an Error'],
  'throws a Symbol': [thrown(() => Symbol('s')), 'transient', 'a handler threw a symbol, not an Error'],
  'throws a revoked proxy': [thrown(revoked), 'transient', /unprintable object/],
  'throws 5 MB': [thrown(() => new Error('m'.repeat(5_000_000))), 'transient', /^m{8192}$/],
  'throws what throws the third time': [thrown(flips), 'transient', /once|throws when it is looked at/],
  'throws a hostile retryAfterAt': [thrown(() => withGetter('retryAfterAt')), 'transient', 'broke'],
  'throws a hostile cause': [thrown(() => withGetter('cause')), 'transient', 'broke'],
  'throws a hostile stack': [thrown(() => withGetter('stack')), 'transient', 'broke'],
  'throws a hostile name': [thrown(() => withGetter('name')), 'transient', 'broke'],
  'throws a revoked cause': [thrown(() => new Error('why', { cause: revoked() })), 'transient', 'why'],
  'throws a circle of causes': [thrown(circular), 'transient', 'round'],
  'steps with a Symbol': [(ctx) => ctx.step(Symbol('s') as never, () => 1), 'fatal', /^name of a step: .*got a symbol/],
  'steps over two lines': [(ctx) => ctx.step('a\nb', () => 1), 'fatal', /on one line, got "a\\nb"/],
  'steps without work': [(ctx) => ctx.step('a', 5 as never), 'transient', /not a function/],
  'steps to a BigInt': [(ctx) => ctx.step('a', () => 1n), 'fatal', /expected a result JSON can hold/],
  'steps to 1 MiB': [(ctx) => ctx.step('a', () => 'x'.repeat(2 ** 20)), 'fatal', /expected at most 65536 bytes/],
  'adds to nothing': [(ctx) => ctx.add(null as never, 1), 'fatal', /^lane: expected/],
  'adds to a proxy': [(ctx) => ctx.add(booby() as never, 1), 'transient', /^booby/],
  'adds a BigInt': [(ctx) => ctx.add(lane, 1n), 'fatal', /^ctx.add 1: payload: expected what JSON can hold/],
  'adds 8,000 levels': [(ctx) => ctx.add(lane, deep), 'fatal', /^ctx.add 1: payload: /],
  'adds 1 MiB': [(ctx) => ctx.add(lane, 'x'.repeat(2 ** 20)), 'fatal', /expected at most 1048576 bytes/],
  'adds with a wrong key': [(ctx) => ctx.add(lane, 1, { key: 5 as never }), 'fatal', /^key: expected/],
  'adds with throwing options': [(ctx) => ctx.add(lane, 1, getter('at')), 'transient', /the getter of at/],
  'fetches a Symbol': [(ctx) => ctx.fetch(Symbol('s') as never), 'fatal', /got a symbol/],
  'fetches ../': [(ctx) => ctx.fetch('../x'), 'fatal', /expected a full address, got "..\/x"/],
  'fetches file:': [(ctx) => ctx.fetch('file:///etc/passwd'), 'fatal', /expected a full address/],
  'fetches with a wrong header': [
    (ctx) => ctx.fetch('http://127.0.0.1:1', { headers: { 'a b': '\n' } }),
    'transient',
    /header/,
  ],
  'progresses by NaN': [(ctx) => ctx.progress(Number.NaN), 'fatal', /from 0 to 100, got NaN/],
  'progresses by 1e308': [(ctx) => ctx.progress(1e308), 'fatal', /got 1e\+308/],
  'progresses by a proxy': [(ctx) => ctx.progress(revoked() as never), 'fatal', /an unprintable object/],
  'falls back on what throws': [
    (ctx) =>
      ctx.optional(
        'a',
        thrown(revoked),
        thrown(() => new Error('no')),
      ),
    'transient',
    'no',
  ],
};

describe('a handler', () => {
  it('that does what nobody should ends its own job, and no other', async ({ world }) => {
    const pod = await world.pod([
      handle(lane, {
        run: ({ payload }, ctx): unknown => (typeof payload === 'string' ? endings[payload]?.[0](ctx) : payload),
      }),
    ]);
    const events = world.record(pod);
    const producer = await world.producer();
    const added = await producer.addMany(
      lane,
      Object.keys(endings).flatMap((payload) => [{ payload }, { payload: 5 }]),
    );
    const queue = world.queue(lane);
    for (const [place, [what, [, ofClass, reason]]] of Object.entries(endings).entries()) {
      const { id } = added[2 * place] as { id: string };
      const letter = await untilState(queue, id, 'dead');
      expect({ what, class: letter.class }).toEqual({ what, class: ofClass });
      expect(letter.reason, what).toMatch(reason);
      expect(letter.stacks, what).toHaveLength(1);
      await untilState(queue, (added[2 * place + 1] as { id: string }).id, 'done');
    }
    expect(events.filter(({ name }) => name === 'redis.failing')).toEqual([]);
    const last = await producer.add(lane, 7);
    expect(await untilState(queue, last.id, 'done')).toMatchObject({ result: 7 });
    expect(pod.running).toBe(0);
    expect(await showJob(queue, last.id)).toMatchObject({ state: 'done' });
  });
});
