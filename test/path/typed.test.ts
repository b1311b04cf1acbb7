// The payload's type follows from the lane's schema: what a producer may send is the schema's input, what a handler gets is
// its output. tsc is the judge (`@ts-expect-error` fails when there is no error); the calls run against a closed door.

import { expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineLane, handle, type Producer } from '../../src/index.ts';

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
