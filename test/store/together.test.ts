// Several calls as one command answer as if each had been one: also the one that fails, and the one that answers nothing.

import { describe, expect } from 'vitest';
import { callTogether } from '../../src/store/together.ts';
import { it } from '../support/world.ts';

/** Answers what stands at the key before it writes; 'fail' breaks in the redis call, 'throw' in Lua. */
const LUA = `
if ARGV[1] == 'fail' then return redis.call('INCR', KEYS[1]) end
if ARGV[1] == 'throw' then return nil + 1 end
local before = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1] .. (ARGV[2] or ''))
redis.call('INCR', KEYS[2])
return before
`;

describe('calls of one script', () => {
  it('are answered one by one, in their order, whatever becomes of the others', async ({ world }) => {
    const { redis, prefix } = world;
    redis.defineCommand('test:swap', { numberOfKeys: 2, lua: LUA });
    const key = (n: number) => `${prefix}:{t}:${n}`;
    await redis.set(key(1), 'old');
    const calls = Array.from({ length: 40 }, (_, n) => [
      key(n),
      `${prefix}:{t}:count`,
      `v${n}`,
      ...(n % 2 ? ['!'] : []),
    ]);
    calls[3] = [key(1), `${prefix}:{t}:count`, 'fail'];
    calls[4] = [key(4), `${prefix}:{t}:count`, 'throw'];
    const answers = await callTogether(redis, 'test:swap', calls);
    expect(answers).toHaveLength(40);
    expect(answers[0]).toBeNull();
    expect(answers[1]).toBe('old');
    expect(answers[3]).toMatchObject({ name: 'ReplyError', message: expect.stringContaining('not an integer') });
    expect(answers[4]).toMatchObject({ name: 'ReplyError', message: expect.stringContaining('arithmetic') });
    expect(await redis.mget(key(0), key(1), key(39), `${prefix}:{t}:count`)).toEqual(['v0', 'v1!', 'v39!', '38']);
  });

  it('all carry the error of a connection that is gone', async ({ world }) => {
    const redis = world.redis.duplicate({ lazyConnect: false, enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    await new Promise((resolve) => redis.once('ready', resolve));
    redis.defineCommand('test:swap', { numberOfKeys: 2, lua: LUA });
    redis.disconnect();
    const answers = await callTogether(redis, 'test:swap', [
      ['{t}a', '{t}b', '1'],
      ['{t}c', '{t}b', '2'],
    ]);
    expect(answers.map((answer) => answer instanceof Error)).toEqual([true, true]);
  });
});
