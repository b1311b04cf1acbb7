// Any Standard Schema is a lane's gate: zod, valibot and arktype answer the same payloads the same way, at the producer with every
// wrong field at once, at the pod with what the schema made of the payload, once.

import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect } from 'vitest';
import { z } from 'zod';
import { defineLane, handle, type Lane } from '../../src/index.ts';
import { listJobs } from '../../src/path/inspect.ts';
import { it } from '../support/world.ts';
import { plainQueue, rejection, untilState } from './looking.ts';

const zodPost = z.object({
  title: z.string().min(1),
  count: z.number().default(1),
  tags: z.array(z.string()),
  author: z.object({ name: z.string().transform((name) => name.toUpperCase()) }),
});
const valibotPost = v.object({
  title: v.pipe(v.string(), v.minLength(1)),
  count: v.optional(v.number(), 1),
  tags: v.array(v.string()),
  author: v.object({
    name: v.pipe(
      v.string(),
      v.transform((name) => name.toUpperCase()),
    ),
  }),
});
const arktypePost = type({
  title: 'string > 0',
  count: 'number = 1',
  tags: 'string[]',
  author: { name: type('string').pipe((name) => name.toUpperCase()) },
});
const taken = (text: string) => Promise.resolve(text !== 'taken');

const schemas = {
  zod: zodPost,
  valibot: valibotPost,
  arktype: arktypePost,
  'zod, async': zodPost.refine(({ title }) => taken(title), { path: ['title'], message: 'is taken' }),
  'valibot, async': v.pipeAsync(
    valibotPost,
    v.forwardAsync(
      v.checkAsync(({ title }) => taken(title), 'is taken'),
      ['title'],
    ),
  ),
};
const names = Object.keys(schemas) as (keyof typeof schemas)[];
const laneOf = (name: keyof typeof schemas) => defineLane({ name: 'post', payload: schemas[name] as never }) as Lane;

const good = { title: 'a', tags: ['x'], author: { name: 'ann' } };
/** The payload, and the fields that the refusal names. */
const wrong: [unknown, string[]][] = [
  [{}, ['title', 'tags', 'author']],
  [{ title: '', count: 'x', tags: ['a', 5], author: {} }, ['title', 'count', 'tags.1', 'author.name']],
  [{ ...good, title: 5, count: null }, ['title', 'count']],
  [{ ...good, tags: { 0: 'a' }, author: [] }, ['tags', 'author']],
];

function expectFields(reason: string | null, fields: string[], what: string): void {
  const problems = (reason ?? '').replace(/^(\[\d+\] )?lane "post": /, '').split('; ');
  const named = problems.map((problem) => problem.split(':')[0]?.replace(/^payload\./, ''));
  for (const field of fields)
    expect(
      named.some((name) => name?.startsWith(field)),
      `${what}: ${field} in ${reason}`,
    ).toBe(true);
}

describe.for(names)('a lane whose schema is of %s', (name) => {
  it('refuses a wrong payload at the producer, with every field at once', async ({ world }) => {
    const lane = laneOf(name);
    const producer = await world.producer();
    for (const [payload, fields] of wrong) {
      const refused = await rejection(producer.add(lane, payload));
      expect(refused).toMatchObject({ code: 'LK_INPUT', message: expect.stringMatching(/^lane "post": [^\n]+$/) });
      expectFields(refused.message, fields, JSON.stringify(payload));
      const among = await rejection(producer.addMany(lane, [{ payload: good }, { payload }]));
      expect(among.message).toMatch(/^1 of 2 items refused, none added: \[1\] /);
      expectFields(among.message.replace(/^.*none added: /, ''), fields, JSON.stringify(payload));
    }
    for (const payload of [null, 5, 'x', []]) {
      expect(await rejection(producer.add(lane, payload)), String(payload)).toMatchObject({ code: 'LK_INPUT' });
    }
    expect(await listJobs(world.queue(lane), ['waiting'], 10)).toEqual([]);
  });

  it('stores a good payload as sent, and hands it over as the schema made it, once', async ({ world }) => {
    const lane = laneOf(name);
    const producer = await world.producer();
    const { id } = await producer.add(lane, good);
    expect(await listJobs(world.queue(lane), ['waiting'], 10)).toMatchObject([{ id, payload: good }]);
    await world.pod([handle(lane, { run: ({ payload }) => payload })]);
    expect((await untilState(world.queue(lane), id, 'done')).result).toEqual({
      title: 'a',
      count: 1,
      tags: ['x'],
      author: { name: 'ANN' },
    });
  });

  it('refuses what a plain producer got wrong, with every reason, and runs what is right', async ({ world }) => {
    const lane = laneOf(name);
    const ran: unknown[] = [];
    await world.pod([handle(lane, { run: ({ payload }) => void ran.push(payload) })]);
    const plain = plainQueue(world, lane);
    for (const [payload, fields] of wrong) {
      const { id } = await plain.add('x', payload);
      const letter = await untilState(world.queue(lane), id as string, 'dead');
      expect(letter).toMatchObject({ class: 'refused', attempt: 1 });
      expectFields(letter.reason, fields, JSON.stringify(payload));
    }
    const { id } = await plain.add('x', good);
    await untilState(world.queue(lane), id as string, 'done');
    expect(ran).toEqual([{ title: 'a', count: 1, tags: ['x'], author: { name: 'ANN' } }]);
  });
});

it('a schema that has to wait refuses at both doors what it found out', async ({ world }) => {
  for (const name of names.filter((one) => one.endsWith('async'))) {
    const lane = laneOf(name);
    const producer = await world.producer();
    const payload = { ...good, title: 'taken' };
    expect((await rejection(producer.add(lane, payload))).message).toBe('lane "post": payload.title: is taken');
    const pod = await world.pod([handle(lane, { run: () => 1 })]);
    const { id } = await plainQueue(world, lane).add('x', payload);
    const letter = await untilState(world.queue(lane), id as string, 'dead');
    expect(letter).toMatchObject({ class: 'refused', reason: 'payload.title: is taken' });
    await pod.stop('the next schema', 0);
  }
});
