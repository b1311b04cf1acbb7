// What ctx.spend takes for a number of tokens, and what it does not.

import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/path/attempt.ts';
import type { Usage } from '../../src/path/handler.ts';
import { createSpend } from '../../src/path/spend.ts';

function spender() {
  const told: number[] = [];
  const attempt = {
    ended: undefined,
    isLocked: () => true,
    spent: undefined,
    own: { spent: (total: number) => void told.push(total), giveBack: () => {} },
    lane: { name: 'ask' },
  } as unknown as Attempt;
  return { attempt, told, spend: createSpend(attempt) as (usage: unknown) => void };
}

describe('spend', () => {
  it.each<[Usage, number]>([
    [0, 0],
    [12, 12],
    [12.1, 13],
    [{ tokens: 7 }, 7],
    [{ inputTokens: 5, outputTokens: 3 }, 8],
    [{ input_tokens: 5, output_tokens: 3 }, 8],
    [{ prompt_tokens: 5, completion_tokens: 3 }, 8],
    [{ total_tokens: 9, prompt_tokens: 5, completion_tokens: 3 } as Usage, 9],
  ])('of %j is %d', (usage, tokens) => {
    const { attempt, spend } = spender();
    spend(usage);
    expect(attempt.spent).toBe(tokens);
  });

  it('adds up, and tells the sum each time', () => {
    const { told, spend } = spender();
    spend(5);
    spend({ tokens: 6 });
    expect(told).toEqual([5, 11]);
  });

  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('no');
      },
    },
  );
  it.each([
    Number.NaN,
    -1,
    Number.POSITIVE_INFINITY,
    '5',
    null,
    undefined,
    {},
    [],
    5n,
    { tokens: '5' },
    { inputTokens: 5 },
    { input_tokens: 5, output_tokens: Number.NaN },
    { total_tokens: -1, prompt_tokens: 1, completion_tokens: 1 },
    hostile,
  ])('of something else is refused in one line and changes nothing (%#)', (usage) => {
    const { attempt, told, spend } = spender();
    expect(() => spend(usage)).toThrow(/^ctx\.spend: expected a number of tokens from 0, or \{ tokens \}.*, got .+$/);
    expect([attempt.spent, told]).toEqual([undefined, []]);
  });

  it('after its attempt has ended is refused', () => {
    const { attempt, spend } = spender();
    Object.assign(attempt, { ended: 'timeout' });
    expect(() => spend(5)).toThrow('is over: spend came after its end (timeout)');
  });
});
