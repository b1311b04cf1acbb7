// A payload that JSON cannot hold is refused with one clear error before anything is written, and so is a Redis that is away.

import { describe, expect } from 'vitest';
import { type Added, createProducer, defineLane } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { keysOf, rejection } from './looking.ts';

const open = defineLane({ name: 'open' });

const circle: Record<string, unknown> = {};
circle.self = circle;
const deep = JSON.parse(`${'['.repeat(8_000)}${']'.repeat(8_000)}`) as unknown;
const payloads: Record<string, unknown> = {
  'a BigInt': { n: 1n },
  'a circle': circle,
  'a depth of 8000': deep,
  'a depth of 101': JSON.parse(`${'['.repeat(101)}${']'.repeat(101)}`),
  'more than 1 MiB': 'x'.repeat(1024 * 1024),
  'more than 1 MiB in bytes': 'é'.repeat(530_000),
  'a field __proto__': JSON.parse('{"a":{"__proto__":{"isAdmin":true}}}'),
  nothing: undefined,
  'a function': () => 1,
  'a symbol': Symbol('s'),
  'a toJSON that throws': {
    toJSON() {
      throw new Error('not me');
    },
  },
  'a getter that throws': {
    get a() {
      throw new Error('not me');
    },
  },
};

describe.for(Object.keys(payloads))('a payload of %s', (kind) => {
  it('is refused with one clear error, and nothing is written', async ({ world }) => {
    const producer = await world.producer();
    const refused = await rejection(producer.add(open, payloads[kind]));
    expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringContaining('payload') });
    expect(refused.message).not.toContain('\n');
    expect(await keysOf(world)).toEqual([]);
  });

  it('among many is refused by its index, and nothing is written', async ({ world }) => {
    const producer = await world.producer();
    const items = [{ payload: 1 }, { payload: payloads[kind] }, { payload: 2 }];
    const refused = await rejection(producer.addMany(open, items));
    expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringContaining('[1]') });
    expect(await keysOf(world)).toEqual([]);
  });
});

it('a payload that JSON can hold goes through, however odd (twin)', async ({ world }) => {
  const producer = await world.producer();
  const fits = [
    null,
    0,
    '',
    [],
    {},
    'a\u0000b\ud800',
    { __proto__x: 1, 'lk:x': { lk: 1 } },
    'x'.repeat(100_000),
    JSON.parse(`${'['.repeat(99)}${']'.repeat(99)}`),
    ['['.repeat(500)],
    '{\\"[[['.repeat(200),
  ];
  for (const payload of fits) expect(await producer.add(open, payload)).toMatchObject({ state: 'waiting' });
  const added: Added[] = await producer.addMany(
    open,
    fits.map((payload) => ({ payload })),
  );
  expect(added).toHaveLength(fits.length);
});

describe('a producer', () => {
  it('without a Redis at its address refuses to start, and shows no password', async ({ world }) => {
    const refused = await rejection(createProducer({ redis: 'redis://:hunter2@127.0.0.1:1', prefix: world.prefix }));
    expect(refused).toMatchObject({ code: 'LK_REDIS_DOWN', message: expect.stringContaining('ECONNREFUSED') });
    expect(refused.message).not.toContain('hunter2');
  });

  it.for(['nonsense', 'http://127.0.0.1'])('refuses the address %s', async (redis) => {
    expect(await rejection(createProducer({ redis }))).toMatchObject({ code: 'LK_CONFIG' });
  });

  it.for(['a:b', '{a}', 'a b', ''])(
    'refuses the prefix %j, which the environment refuses too',
    async (prefix, { world }) => {
      const made = createProducer({ redis: world.redisUrl, prefix });
      world.defer(async () => (await made.catch(() => undefined))?.close());
      expect(await rejection(made)).toMatchObject({ code: 'LK_CONFIG' });
    },
  );

  it('that was closed accepts nothing more, and closing it again is no error', async ({ world }) => {
    const producer = await world.producer();
    await producer.add(open, {});
    await producer.close();
    await producer.close();
    expect(await rejection(producer.add(open, {}))).toMatchObject({ code: 'LK_REDIS_DOWN' });
  });
});
