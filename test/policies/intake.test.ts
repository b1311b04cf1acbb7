// A payload enters when its schema says so, and is told every wrong field at once when it does not.

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkPayload } from '../../src/policies/intake.ts';

/** A schema of nobody's library, which answers what it is told to. */
const answering = (answer: unknown): StandardSchemaV1 => ({
  '~standard': { version: 1, vendor: 'test', validate: () => answer as StandardSchemaV1.Result<unknown> },
});

describe('a payload', () => {
  it('of a lane without a schema enters as it is', () => {
    for (const payload of [undefined, null, 0, { a: 1 }]) {
      expect(checkPayload(undefined, payload)).toEqual({ ok: true, value: payload });
    }
  });

  it('that fits enters as what the schema made of it, defaults and all', () => {
    const schema = z.object({ title: z.string().trim(), tags: z.array(z.string()).default([]) });
    expect(checkPayload(schema, { title: ' a ' })).toEqual({ ok: true, value: { title: 'a', tags: [] } });
  });

  it('that does not fit is told every wrong field, each with its path', () => {
    const schema = z.object({ title: z.string(), at: z.object({ hour: z.number() }), tags: z.array(z.string()) });
    const verdict = checkPayload(schema, { at: { hour: 'x' }, tags: ['a', 5] });
    expect(verdict).toMatchObject({ ok: false });
    const { problems } = verdict as { problems: string[] };
    expect(problems.map((line) => line.split(':')[0])).toEqual(['payload.title', 'payload.at.hour', 'payload.tags.1']);
  });

  it('that is wrong as a whole is told so', () => {
    expect(checkPayload(z.object({}), 5)).toMatchObject({ ok: false, problems: [expect.stringMatching(/^payload: /)] });
  });

  it('is checked without a turn of the event loop when the schema needs none', () => {
    expect(checkPayload(z.string(), 'a')).not.toBeInstanceOf(Promise);
  });

  it('is checked by a schema that has to wait', async () => {
    const schema = z.string().refine(async (text) => text === 'yes', 'must be yes');
    expect(await checkPayload(schema, 'yes')).toEqual({ ok: true, value: 'yes' });
    expect(await checkPayload(schema, 'no')).toEqual({ ok: false, problems: ['payload: must be yes'] });
  });

  it('is told its path in both forms a schema may use', () => {
    const issues = [{ message: 'm', path: ['a', { key: 'b' }, 0] }, { message: 'n' }];
    expect(checkPayload(answering({ issues }), 1)).toEqual({ ok: false, problems: ['payload.a.b.0: m', 'payload: n'] });
  });

  it('does not slip through a schema whose promise is not of this realm', async () => {
    // A promise of another realm (a bundle, a vm, an older library) is no instance of ours, but it is one.
    const refusal = Promise.resolve({ issues: [{ message: 'no' }] });
    // biome-ignore lint/suspicious/noThenProperty: this is what such a promise looks like
    const foreign = { then: refusal.then.bind(refusal) };
    expect(await checkPayload(answering(foreign), 1)).toEqual({ ok: false, problems: ['payload: no'] });
  });

  it('does not slip through a schema that lists no issue but fails', () => {
    expect(checkPayload(answering({ issues: [] }), 1)).toMatchObject({ ok: false });
  });
});
