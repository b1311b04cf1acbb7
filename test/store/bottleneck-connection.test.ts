// The changes to Bottleneck's private parts: they took effect, and a limiter does what it does without them only with them.

import { describe, expect, vi } from 'vitest';
import { openBottleneckConnection, type Patch } from '../../src/store/bottleneck-connection.ts';
import { openBottleneckLimiter } from '../../src/store/bottleneck-limiter.ts';
import { systemClock } from '../../src/words/clock.ts';
import { it, type World } from '../support/world.ts';

function openOne(world: World, without?: Patch) {
  const errors: string[] = [];
  const onError = (error: Error) => void errors.push(error.message);
  const connection = openBottleneckConnection(world.redisUrl, onError, without);
  const id = world.keys.bottleneck('forum', 'slots');
  const limiter = openBottleneckLimiter(connection, id, { maxConcurrent: 1 }, 15_000, systemClock, onError);
  world.defer(() => connection.close());
  return { limiter, connection, id, errors };
}

describe('the keys', () => {
  it('lie under our prefix and tag', async ({ world }) => {
    const { limiter } = openOne(world);
    const piece = await limiter.take();
    const found = await world.redis.keys(`${world.prefix}:*`);
    expect(found.length).toBeGreaterThan(5);
    for (const key of found) expect(key.startsWith(`${world.prefix}:u:{forum}:bottleneck:slots_`)).toBe(true);
    expect(await world.redis.keys(`b_${world.prefix}*`)).toEqual([]);
    piece.giveBack();
    await limiter.givenBack();
  });
});

describe('a limiter whose client Redis forgot', () => {
  it('goes on', async ({ world }) => {
    const { limiter, id } = openOne(world);
    (await limiter.take()).giveBack();
    await limiter.givenBack();
    await world.redis.del(`${id}_client_last_seen`);
    (await limiter.take()).giveBack();
    await limiter.givenBack();
  });

  it('is refused for good when the prefix of Redis 7 is left (twin)', async ({ world }) => {
    const { limiter, id } = openOne(world, 'recovery');
    (await limiter.take()).giveBack();
    await limiter.givenBack();
    await world.redis.del(`${id}_client_last_seen`);
    await expect(limiter.take()).rejects.toThrow('ERR UNKNOWN_CLIENT');
  });
});

describe('leases', () => {
  it.for<[string, Patch | undefined, boolean]>([
    ['are by the clock of Redis', undefined, true],
    ['are by the clock of the pod without the change (twin)', 'clock', false],
  ])('%s', async ([, without, isRight], { world }) => {
    const { limiter, id } = openOne(world, without);
    await limiter.ready;
    const ahead = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
    const piece = await limiter.take().finally(() => ahead.mockRestore());
    const [seconds] = await world.redis.time();
    const untilAt = Number(await world.redis.zscore(`${id}_job_expirations`, piece.id)) / 1_000;
    expect(Math.abs(untilAt - Number(seconds) - 15) < 2).toBe(isRight);
    piece.giveBack();
    await limiter.givenBack();
  });
});
