// A failed attempt is one text: its first line reads back as the facts, whatever the error and the agent were called.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendStack, parseStacks, readStack, type StackFacts } from '../../src/path/stack.ts';
import { FAILURE_CLASSES } from '../../src/words/failure.ts';

const FACTS: StackFacts = {
  class: 'transient',
  attempt: 2,
  attempts: 4,
  pod: 'host-1a2b3c',
  agent: 'a01',
  at: 1_900_000_000_000,
};
const only = (json: string) => parseStacks(json).map((text) => readStack(text));

describe('a stack', () => {
  it('says class, attempt, pod, agent and instant in its first line', () => {
    const [text] = parseStacks(appendStack(undefined, FACTS, new Error('no')));
    const [first, second] = (text as string).split('\n');
    expect(first).toBe('[transient] attempt 2 of 4 on host-1a2b3c as a01 at 2030-03-17T17:46:40.000Z');
    expect(second).toBe('Error: no');
  });

  it('reads back as the facts it was made from', () => {
    const facts = fc.record({
      class: fc.constantFrom(...FAILURE_CLASSES),
      attempt: fc.integer({ min: 1, max: 100 }),
      attempts: fc.integer({ min: 1, max: 100 }),
      pod: fc.stringMatching(/^[A-Za-z0-9.-]{1,40}-[0-9a-f]{6}$/),
      agent: fc.option(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/)),
      at: fc.integer({ min: 0, max: 2 ** 53 / 4096 }),
    });
    fc.assert(
      fc.property(facts, fc.string(), (given, message) => {
        const [read] = only(appendStack(undefined, given, new Error(message)));
        expect(read).toMatchObject(given);
      }),
    );
  });

  it('reads back when a plain producer named an agent as we never would', () => {
    for (const agent of ['two words', ' at ', 'a\nb', 'as b', '\u2028', 'é']) {
      const [read] = only(appendStack(undefined, { ...FACTS, agent }, new Error('no')));
      expect(read, JSON.stringify(agent)).toMatchObject({ class: 'transient', attempt: 2, agent });
    }
  });

  it('carries its cause', () => {
    const [read] = only(appendStack(undefined, FACTS, new Error('outer', { cause: new Error('inner') })));
    expect(read?.trace).toContain('Caused by: Error: inner');
  });

  it('goes behind those that are there; the latest 20 are kept, each of at most 8192 characters', () => {
    let json: string | undefined;
    for (let attempt = 1; attempt <= 25; attempt++) {
      json = appendStack(json, { ...FACTS, attempt, attempts: 25 }, new Error('x'.repeat(20_000)));
    }
    const stacks = parseStacks(json);
    expect(stacks.map((text) => readStack(text)?.attempt)).toEqual(Array.from({ length: 20 }, (_, n) => n + 6));
    for (const text of stacks) expect(text.length).toBeLessThanOrEqual(8_192);
  });

  it('is made of any error, also one whose parts are no texts', () => {
    const odd = [
      Object.assign(new Error('x'), { stack: undefined }),
      Object.assign(new Error('x'), { stack: 5 }),
      Object.assign(new Error('x'), { stack: Symbol('s') }),
      Object.assign(new Error('x'), { stack: Object.create(null) }),
      Object.assign(new Error('x'), { stack: undefined, message: Symbol('s') }),
    ];
    for (const error of odd) expect(only(appendStack(undefined, FACTS, error))).toMatchObject([{ attempt: 2 }]);
  });
});

describe('what somebody else wrote', () => {
  it.each([undefined, '', '{', '5', '{}', 'null', '"text"'])('(%j) is an empty list', (json) => {
    expect(parseStacks(json)).toEqual([]);
  });

  it('has no facts, and stays in the list', () => {
    const json = appendStack('["Error: from BullMQ\\n at x", 5]', FACTS, new Error('no'));
    expect(parseStacks(json)).toHaveLength(2);
    expect(only(json)[0]).toBeUndefined();
    expect(only(json)[1]).toMatchObject({ attempt: 2 });
  });

  it('of a class we do not know is fatal', () => {
    expect(readStack('[odd] attempt 1 of 4 on p at 2030-01-01T00:00:00.000Z')).toMatchObject({ class: 'fatal' });
  });
});
