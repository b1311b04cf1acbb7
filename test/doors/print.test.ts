// JSON for machines: our instants are texts, and what others wrote is told as they wrote it.

import { expect, it } from 'vitest';
import { toJson } from '../../src/doors/cli/print.ts';

const AT = Date.UTC(2030, 0, 31, 8);

it('instants become RFC 3339, by themselves and in lists', () => {
  const told = JSON.parse(toJson({ sinceAt: AT, untilAt: null, stacks: [{ at: AT, attempt: 1 }] }));
  const text = '2030-01-31T08:00:00.000Z';
  expect(told).toEqual({ sinceAt: text, untilAt: null, stacks: [{ at: text, attempt: 1 }] });
});

it('a payload, a result and metadata stay as they came, however deep', () => {
  const theirs = { createdAt: AT, list: [{ at: AT }], untilAt: null };
  const value = { jobs: [{ payload: theirs, result: { seenAt: 1 }, meta: theirs, progress: { at: 2 } }] };
  expect(JSON.parse(toJson(value))).toEqual(value);
});
