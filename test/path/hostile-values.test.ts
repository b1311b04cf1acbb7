// Whatever is handed to the library, by whoever: one error of ours, on one line, soon, and nothing written.

import { describe, expect, it as plainIt } from 'vitest';
import { z } from 'zod';
import { createProducer, defineLane, defineUpstream, handle, type Producer } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { booby, getter, HOSTILE, revoked } from './hostile.ts';
import { keysOf, rejection } from './looking.ts';

const lane = defineLane({ name: 'hostile', payload: z.object({ n: z.number() }) });
const good = { n: 1 };

function expectOneLine(error: Error & { code?: string }, code: string, what: string): void {
  expect(error, what).toMatchObject({ name: 'LanekeeperError', code });
  expect(error.message, what).not.toMatch(/\p{Cc}/u);
  expect(error.message.length, what).toBeLessThan(1_000);
}

const definitions: [string, (value: unknown) => unknown][] = [
  ['defineLane', (value) => defineLane(value as never)],
  ...[
    'name',
    'payload',
    'upstream',
    'retry',
    'timeout',
    'done',
    'dead',
    'dedupe',
    'backlog',
    'concurrency',
    'priority',
    'runbook',
    'weight',
    'requests',
    'tokens',
  ].map((option): [string, (value: unknown) => unknown] => [
    `defineLane ${option}`,
    (value) => defineLane({ name: 'a', [option]: value }),
  ]),
  ['a backoff', (value) => defineLane({ name: 'a', retry: { backoff: value as never } })],
  ['a backoff of', (value) => defineLane({ name: 'a', retry: { backoff: [value as never] } })],
  ['defineUpstream', (value) => defineUpstream(value as never)],
  ['defineUpstream name', (value) => defineUpstream({ name: value as never })],
  ['defineUpstream baseUrl', (value) => defineUpstream({ name: 'a', baseUrl: value as never })],
  ['defineUpstream limits', (value) => defineUpstream({ name: 'a', limits: value as never })],
  ['handle a lane', (value) => handle(value as never, { run() {} })],
  ['handle', (value) => handle(lane, value as never)],
  ['handle run', (value) => handle(lane, { run: value as never })],
];

describe('a definition', () => {
  plainIt.each(definitions)('by %s refuses all of it', (what, define) => {
    for (const [name, value] of HOSTILE) {
      try {
        define(value);
      } catch (error) {
        expectOneLine(error as Error, 'LK_DEFINITION', `${what}: ${name}`);
        continue;
      }
      // What is left is usable there: null is the default backoff, and an object without options asks for none.
      expect(`${what}: ${name}`).toMatch(/^a backoff: null$|(retry|done|dead|dedupe): (an invalid Date|an instance)$/);
    }
  });

  plainIt('refuses more waits than there are attempts, and holes between them', () => {
    const backoff = (list: unknown) => () => defineLane({ name: 'a', retry: { backoff: list as string[] } });
    expect(backoff(new Array(101).fill('1s'))).toThrow('1 to 100 durations');
    // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
    expect(backoff(['1s', , '2s'])).toThrow('1 to 100 durations');
    expect(backoff(new Array(100).fill('1s'))).not.toThrow();
  });
});

/** As the caller hands it to `add` or `addMany`; each must be refused for any hostile value. */
const calls: [string, (producer: Producer, value: unknown) => Promise<unknown>][] = [
  ['a lane', (producer, value) => producer.add(value as never, good)],
  ['a payload', (producer, value) => producer.add(lane, value as never)],
  ['a field', (producer, value) => producer.add(lane, { n: value as never })],
  ['options', (producer, value) => producer.add(lane, good, value as never)],
  ...['agent', 'key', 'priority', 'at'].map(
    (option): [string, (producer: Producer, value: unknown) => Promise<unknown>] => [
      option,
      (producer, value) => producer.add(lane, good, { [option]: value }),
    ],
  ),
  ['a list', (producer, value) => producer.addMany(lane, value as never)],
  ['an item', (producer, value) => producer.addMany(lane, [{ payload: good }, value as never])],
  ['options of a list', (producer, value) => producer.addMany(lane, [{ payload: good }], value as never)],
  ['the key of a list', (producer, value) => producer.addMany(lane, [{ payload: good }], { key: value as never })],
];

/** Usable where they stand: options that say nothing, a number of seconds since 1970, an object without a payload's schema. */
const USABLE = /^(options|options of a list): (an invalid Date|an instance)$/;

describe('a producer', () => {
  it.for(calls)('refuses every hostile value as %s, and nothing is written', async ([what, call], { world }) => {
    const producer = await world.producer();
    for (const [name, value] of HOSTILE) {
      if (
        USABLE.test(`${what}: ${name}`) ||
        (what === 'a field' && name === '1e308') ||
        (what === 'a field' && name === '-0.5')
      )
        continue;
      expectOneLine(await rejection(call(producer, value)), 'LK_INPUT', `${what}: ${name}`);
    }
    expect(await keysOf(world)).toEqual([]);
  });

  it('names the one bad item of ten thousand by its index', async ({ world }) => {
    const producer = await world.producer();
    for (const bad of [getter('payload'), revoked(), booby(), { payload: good, ...{ when: 5 } }]) {
      const items = Array.from({ length: 10_000 }, (_, n) => (n === 7_777 ? bad : { payload: good }));
      const { message } = await rejection(producer.addMany(lane, items as never));
      expect(message).toMatch(/^1 of 10000 items refused, none added: \[7777\] /);
    }
    expect(await keysOf(world)).toEqual([]);
  });

  it('refuses a list that throws, one whose length lies, and options with strangers in them', async ({ world }) => {
    const producer = await world.producer();
    const liar = new Proxy([{ payload: good }], {
      get: (list, name) => (name === 'length' ? 3 : Reflect.get(list, name)),
    });
    const throwing = new Proxy([{ payload: good }], {
      get: () => {
        throw new Error('no\nlist');
      },
    });
    for (const list of [liar, throwing]) {
      expectOneLine(await rejection(producer.addMany(lane, list)), 'LK_INPUT', 'list');
    }
    const stranger = JSON.parse('{"__proto__":{"priority":1}}') as object;
    expectOneLine(await rejection(producer.add(lane, good, stranger)), 'LK_INPUT', '__proto__');
    expect(await keysOf(world)).toEqual([]);
  });

  it('refuses what the lane schema throws at, and answers that are none', async ({ world }) => {
    const producer = await world.producer();
    const answers: (() => unknown)[] = [
      () => {
        throw new Error('schema\nbroke');
      },
      () => Promise.reject(new Error('schema\nbroke')),
      () => undefined,
      () => null,
      () => 5,
      () => ({ issues: 5 }),
      () => ({ issues: [null] }),
    ];
    for (const validate of answers) {
      const payload = { '~standard': { version: 1, vendor: 'x', validate } } as never;
      expectOneLine(
        await rejection(producer.add(defineLane({ name: 'odd', payload }), 1 as never)),
        'LK_INPUT',
        String(validate),
      );
    }
    expect(await keysOf(world)).toEqual([]);
  });

  it('tells a hundred wrong fields, and how many more there are', async ({ world }) => {
    const producer = await world.producer();
    const texts = defineLane({ name: 'texts', payload: z.array(z.string()) });
    const { message } = await rejection(producer.add(texts, new Array(100_000).fill(1) as string[]));
    expect(message).toMatch(/payload\.0: .*payload\.99: .*; and 99900 more$/);
    expect(message).not.toContain('payload.100:');
    expect(message.length).toBeLessThan(20_000);
    const named = defineLane({ name: 'named', payload: z.record(z.string(), z.string()) });
    const wrong = { ['a\n\u001b[31m\u2028'.repeat(100)]: 1 } as never;
    expectOneLine(await rejection(producer.add(named, wrong)), 'LK_INPUT', 'a field name');
  });

  it('is not made with hostile options', async ({ world }) => {
    const options = (value: unknown): unknown[] => [value, { redis: value }, { redis: world.redisUrl, prefix: value }];
    for (const [name, value] of HOSTILE) {
      for (const given of options(value)) {
        const made = createProducer(given as never);
        world.defer(async () => (await made.catch(() => undefined))?.close());
        if (given === value && ['an invalid Date', 'an instance'].includes(name)) continue;
        expectOneLine(await rejection(made), 'LK_CONFIG', name);
      }
    }
    const typo = createProducer({ redis: world.redisUrl, prefx: 'lk' } as never);
    world.defer(async () => (await typo.catch(() => undefined))?.close());
    expectOneLine(await rejection(typo), 'LK_CONFIG', 'prefx');
  });

  it('takes what is good, after all of that (twin)', async ({ world }) => {
    const producer = await world.producer();
    await rejection(producer.add(lane, booby() as never));
    expect(await producer.add(lane, { n: -0 })).toMatchObject({ state: 'waiting' });
    const bare = Object.assign(Object.create(null) as object, { key: 'k', priority: 2_097_151, at: 1e14 });
    expect(await producer.add(lane, { n: 1e308 }, bare)).toMatchObject({ state: 'scheduled' });
  });
});
