// Commands of one turn travel in groups of eight, in order; the first of them waits for none.

import type { Socket } from 'node:net';
import { describe, expect, vi } from 'vitest';
import { connectRedis } from '../../src/store/connect.ts';
import { RETRYING } from '../path/looking.ts';
import { it } from '../support/world.ts';

const streamOf = (redis: unknown) => (redis as { stream: Socket }).stream;

describe('writes', () => {
  it('of one turn go out eight at a time behind the first, and their answers come in order', async ({ world }) => {
    const redis = await connectRedis(world.redisUrl, 'pod');
    const sent = vi.spyOn(streamOf(redis), 'uncork');
    const words = Array.from({ length: 18 }, (_, n) => `word ${n}`);
    const answers = await Promise.all(words.map((word) => redis.echo(word)));
    expect(answers).toEqual(words);
    expect(sent).toHaveBeenCalledTimes(3);
    redis.disconnect();
  });

  it('go on in groups after a new connection', async ({ world }) => {
    const redis = await connectRedis(world.redisUrl, 'pod');
    const first = streamOf(redis);
    first.destroy();
    await vi.waitFor(() => expect(streamOf(redis)).not.toBe(first), RETRYING);
    expect(await redis.echo('back')).toBe('back');
    const sent = vi.spyOn(streamOf(redis), 'uncork');
    await Promise.all(['a', 'b', 'c'].map((word) => redis.echo(word)));
    expect(sent).toHaveBeenCalledTimes(1);
    redis.disconnect();
  });
});
