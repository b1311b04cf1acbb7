// The page of dead letters: read when Redis has forgotten the script, and in the order of the set itself.

import { describe, expect } from 'vitest';
import { pageLetters } from '../../src/store/scripts/page-letters.ts';
import { it } from '../support/world.ts';

describe('a page of letters', () => {
  it('works when Redis has forgotten it', async ({ world }) => {
    const failed = `${world.prefix}:forgotten`;
    await world.redis.zadd(failed, 5, 'a', 5, 'b', 6, 'c');
    const page = (afterAt: number | '-inf', afterId: string) =>
      pageLetters.run(world.redis, { failed }, { afterAt, afterId, untilAt: 5, count: 10 });
    expect(await page('-inf', '')).toEqual([
      { id: 'a', diedAt: 5 },
      { id: 'b', diedAt: 5 },
    ]);
    await world.redis.script('FLUSH');
    expect(await page(5, 'a')).toEqual([{ id: 'b', diedAt: 5 }]);
  });
});

describe('the order of a page', () => {
  it('is that of the set: by bytes, a shorter id before a longer one', async ({ world }) => {
    const failed = `${world.prefix}:ordered`;
    const ids = ['a', 'B', 'aa', 'ä', 'z', 'Z', 'a-', '', '日本'];
    for (const id of ids) await world.redis.zadd(failed, 7, id);
    const order = await world.redis.zrange(failed, 0, '-1');
    for (const [index, afterId] of order.entries()) {
      const page = await pageLetters.run(world.redis, { failed }, { afterAt: 7, afterId, untilAt: 9, count: 100 });
      expect(page.map(({ id }) => id)).toEqual(order.slice(index + 1));
    }
  });
});
