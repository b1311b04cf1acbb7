// The payload's type follows from the lane's schema: what a producer may send is the schema's input, what a handler gets is
// its output. tsc is the judge (`@ts-expect-error` fails when there is no error); the calls run against a closed door.

import { expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineLane, defineUpstream, handle, type Lane, type Producer } from '../../src/index.ts';

const lane = defineLane({
  name: 'typed',
  payload: z.object({
    title: z.string(),
    count: z.number().default(1),
    at: z.string().transform((text) => new Date(text)),
  }),
});

it('gives the handler the output of the schema', () => {
  handle(lane, {
    run(job) {
      expectTypeOf(job.payload).toEqualTypeOf<{ title: string; count: number; at: Date }>();
      return null;
    },
  });
});

it('lets a producer send the input of the schema and nothing else', () => {
  const send = (producer: Producer) => {
    void producer.add(lane, { title: 'x', at: '2030-01-01' });
    // @ts-expect-error a title is a string
    void producer.add(lane, { title: 1, at: '2030-01-01' });
    // @ts-expect-error at is missing
    void producer.addMany(lane, [{ payload: { title: 'x' } }]);
  };
  expectTypeOf(send).parameters.toEqualTypeOf<[Producer]>();
});

it('takes any payload where there is no schema', () => {
  const open = defineLane({ name: 'open' });
  const send = (producer: Producer) => void producer.add(open, { anything: [1, 'b', null] });
  expectTypeOf(send).parameters.toEqualTypeOf<[Producer]>();
});

it('takes limits of one kind each, with what belongs to it', () => {
  const define = () => {
    defineUpstream({ name: 'a', limits: [{ concurrent: 3 }, { count: 60, per: '1m', by: 'agent' }] });
    defineUpstream({ name: 'a', limits: { driver: 'bottleneck', all: [{ tokens: 5, per: 1_000 }], travel: '1s' } });
    // @ts-expect-error a window has a length
    defineUpstream({ name: 'a', limits: [{ count: 60 }] });
    // @ts-expect-error concurrent has none
    defineUpstream({ name: 'a', limits: [{ concurrent: 3, per: '1m' }] });
    // @ts-expect-error two limits are two items
    defineUpstream({ name: 'a', limits: [{ concurrent: 3, count: 3, per: '1m' }] });
    // @ts-expect-error there is no such driver
    defineUpstream({ name: 'a', limits: { driver: 'redis', all: [] } });
  };
  expectTypeOf(define).returns.toBeVoid();
});

it('shows the estimate of tokens what the handler will see, and is a lane like any other', () => {
  const define = () => {
    const estimated = defineLane({
      name: 'typed',
      payload: z.object({ text: z.string(), at: z.string().transform((text) => new Date(text)) }),
      tokens: (payload) => {
        expectTypeOf(payload).toEqualTypeOf<{ text: string; at: Date }>();
        return payload.text.length;
      },
    });
    expectTypeOf(estimated).toExtend<Lane>();
    // @ts-expect-error an estimate is a number
    defineLane({ name: 'typed', tokens: () => 'many' });
  };
  expectTypeOf(define).returns.toBeVoid();
});
