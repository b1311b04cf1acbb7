// Many dead letters at once: each gets one life or is dropped once, whoever else works beside, whenever it is stopped, and
// whatever the clocks of pods say.

import { describe, expect, vi } from 'vitest';
import { dead, defineLane, handle } from '../../src/index.ts';
import { dropDead, removeLetter, replayDead, replayLetter } from '../../src/path/dead-letters.ts';
import { listJobs, showJob } from '../../src/path/inspect.ts';
import { dropLetters, type OperationOptions, replayLetters } from '../../src/path/letter-operation.ts';
import { walkLetters } from '../../src/path/letters.ts';
import type { LaneQueue } from '../../src/store/lane-queue.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { systemClock } from '../../src/words/clock.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { journalled } from '../support/journalled.ts';
import { it } from '../support/world.ts';
import { bury, letterId } from './letter-flood.ts';
import { BY_ANN, keysOf, RETRYING, rejection, untilState } from './looking.ts';

const lane = defineLane({ name: 'letters', concurrency: 50, retry: { attempts: 2, backoff: [0], jitter: 0 } });

function order(more: Partial<OperationOptions> = {}) {
  const options: OperationOptions = {
    reason: 'mended',
    rate: 0,
    who: 'ann@desk',
    clock: systemClock,
    ...more,
  };
  return { options };
}

const counts = async ({ backend }: LaneQueue) => {
  const [wait, failed] = await backend.getCounts(['wait', 'failed']);
  return { wait, failed };
};

const ids = async (queue: LaneQueue, untilAt: number) => {
  const seen: string[] = [];
  for await (const page of walkLetters(queue, untilAt)) seen.push(...page.map(({ id }) => id));
  return seen;
};

describe('a walk', () => {
  it('sees every letter once, oldest first, though thousands died in one millisecond', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 1_111, diedAt: (n) => 1_700_000_000_000 + Math.floor(n / 900) });
    expect(await ids(queue, 1_800_000_000_000)).toEqual(Array.from({ length: 1_111 }, (_, n) => letterId(n)));
    expect(await ids(queue, 1_700_000_000_000), 'no younger than asked').toHaveLength(900);
    expect(await ids(queue, 1_600_000_000_000)).toEqual([]);
  });

  it('misses none of those that stay while others leave behind it and before it', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 1_000, diedAt: (n) => 1_700_000_000_000 + Math.floor(n / 400) });
    const seen: string[] = [];
    for await (const page of walkLetters(queue, 1_800_000_000_000)) {
      seen.push(...page.map(({ id }) => id));
      // All that were seen, and of the rest every third: by rank, the next page would begin far too late.
      const rest = await queue.redis.zrange(queue.backend.toKey('failed'), 0, '-1');
      const leaving = rest.filter((id) => seen.includes(id) || Number(id.slice(2)) % 3 === 0);
      await queue.redis.zrem(queue.backend.toKey('failed'), ...leaving);
    }
    const stayed = Array.from({ length: 1_000 }, (_, n) => n).filter((n) => n >= 50 && n % 3 !== 0);
    for (const n of stayed) expect(seen, letterId(n)).toContain(letterId(n));
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe('replaying many', () => {
  it('puts all back, oldest first, with the same id and key, attempts reset, history kept', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 450 });
    const { options } = order();
    const told: number[] = [];
    const state = await replayLetters(queue, { ...options, onProgress: ({ done }) => told.push(done) });
    expect(state).toMatchObject({ total: 450, seen: 450, done: 450, skipped: 0, isStopped: false });
    expect(await counts(queue)).toEqual({ wait: 450, failed: 0 });
    const [first, second] = await listJobs(queue, ['waiting'], 2);
    expect(first).toMatchObject({ id: letterId(0), key: 'k-0', agent: 'a01', attempt: 1, payload: { n: 0 } });
    expect(second?.id).toBe(letterId(1));
    expect(first?.stacks, 'its history').toMatchObject([{ class: 'transient', attempt: 2 }]);
    expect(told.length).toBeGreaterThan(5);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    const { operation } = state;
    const facts = {
      who: 'ann@desk',
      lane: 'letters',
      operation,
      class: null,
      reason: 'mended',
      intent: expect.any(String),
    };
    expect(await journalled(world, lane.tag)).toEqual([
      { ...facts, what: 'operation.begun', order: 'replay', total: 450 },
      { ...facts, what: 'dead.replayed', count: 450, skipped: 0, isStopped: false },
    ]);
  });

  it('gives signs of life that say how far it came, and leaves none behind', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 200 });
    const signs: Promise<string[]>[] = [];
    let monoMs = 0;
    const clock = { ...systemClock, mono: () => (monoMs += 3_000) };
    const onProgress = () => void signs.push(queue.redis.hvals(queue.intents));
    await replayLetters(queue, order({ clock, onProgress }).options);
    const counts = (await Promise.all(signs)).flat().map((json) => JSON.parse(json).entry.count);
    expect(counts).toEqual([50, 50, 100, 100, 150, 150, 200, 200]);
    expect(await queue.redis.exists(queue.intents)).toBe(0);
  });

  it('of a class takes those of that class alone', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 300, ofClass: (n) => (n % 3 === 0 ? 'auth' : 'fatal') });
    await queue.redis.hset(queue.jobKey(letterId(0)), 'stacktrace', '["not ours"]');
    const { options } = order({ class: 'auth' });
    expect(await replayLetters(queue, options)).toMatchObject({ total: 300, seen: 300, done: 99 });
    expect(await counts(queue)).toEqual({ wait: 99, failed: 201 });
    for (const { payload } of await listJobs(queue, ['waiting'], 99)) expect((payload as { n: number }).n % 3).toBe(0);
    expect((await journalled(world, lane.tag)).at(-1)).toMatchObject({
      what: 'dead.replayed',
      class: 'auth',
      count: 99,
    });
  });

  it('runs each once, though it dies again at once: only what was dead at the beginning has another life', async ({
    world,
  }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 200 });
    const lives = new Map<string, number>();
    const run = ({ id }: { id: string }) => {
      lives.set(id, (lives.get(id) ?? 0) + 1);
      return dead('again');
    };
    await world.pod([handle(lane, { run })]);
    // Slow enough that the first have died again while the last still wait for their turn.
    const { options } = order({ rate: 200 });
    const state = await replayLetters(queue, options);
    expect(state).toMatchObject({ total: 200, done: 200, skipped: 0 });
    await vi.waitFor(async () => expect(await counts(queue)).toEqual({ wait: 0, failed: 200 }), RETRYING);
    expect([...lives.values()].every((count) => count === 1)).toBe(true);
    expect(lives.size).toBe(200);
  });

  it('without that bound would see them again (twin)', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 60 });
    const begunAt = await redisNow(queue.redis);
    const again = await redisNow(queue.redis);
    const seen: string[] = [];
    let isFirst = true;
    for await (const page of walkLetters(queue, again + 60_000)) {
      seen.push(...page.map(({ id }) => id));
      // It died again: what a pod would have done.
      if (isFirst) await queue.redis.zadd(queue.backend.toKey('failed'), again + 1, letterId(0));
      isFirst = false;
    }
    expect(seen.filter((id) => id === letterId(0))).toHaveLength(2);
    expect(await ids(queue, begunAt)).not.toContain(letterId(0));
  });

  it('gives no second life to one that died again by a clock that is behind', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 1 });
    const begunAt = await redisNow(queue.redis);
    const letter = { id: letterId(0), diedAt: begunAt - 1_000 };
    const diesAgain = async () => {
      await queue.redis.lrem(queue.backend.toKey('wait'), 0, letter.id);
      await queue.redis.zadd(queue.backend.toKey('failed'), letter.diedAt, letter.id);
    };
    await diesAgain();
    expect(await replayLetter(queue, letter, begunAt)).toBe(true);
    await diesAgain();
    expect(await replayLetter(queue, letter, begunAt), 'the same operation').toBe(false);
    expect(await replayLetter(queue, letter, begunAt + 60_000), 'a later one').toBe(true);
    await diesAgain();
    await queue.redis.hdel(queue.jobKey(letter.id), JOB_FIELDS.replayed);
    expect(await replayLetter(queue, letter, begunAt), 'without the note (twin)').toBe(true);
  });

  it('keeps to its rate, and never makes up for the time in which it found nothing', async ({ world }) => {
    const queue = world.queue(lane);
    // The first 300 are of another class.
    await bury(queue, { count: 340, ofClass: (n) => (n < 300 ? 'gone' : 'auth') });
    let lookedAt = 0;
    let endedAt = 0;
    const told = new Set<number>();
    await replayLetters(queue, {
      ...order({ rate: 100, class: 'auth' }).options,
      onProgress: ({ done }) => {
        if (done === 0) lookedAt = performance.now();
        endedAt = performance.now();
        told.add(done);
      },
    });
    expect([...told], 'five at a time').toEqual([0, 5, 10, 15, 20, 25, 30, 35, 40]);
    // From the first five to the last it is seven times 50 ms; a timer may cut off a little.
    expect(endedAt - lookedAt).toBeGreaterThan(7 * 48);
  });

  it('stops after the letters in hand, says so, and goes on when it is begun again', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 300 });
    const stop = new AbortController();
    const { options } = order({ signal: stop.signal });
    const first = await replayLetters(queue, {
      ...options,
      onProgress: ({ done }) => done >= 100 && stop.abort(),
    });
    expect(first).toMatchObject({ total: 300, done: 100, isStopped: true });
    expect(await counts(queue)).toEqual({ wait: 100, failed: 200 });
    expect((await journalled(world, lane.tag)).at(-1)).toMatchObject({
      what: 'dead.replayed',
      count: 100,
      isStopped: true,
    });
    const second = await replayLetters(queue, order().options);
    expect(second).toMatchObject({ total: 200, done: 200, isStopped: false });
    const waiting = await queue.redis.lrange(queue.backend.toKey('wait'), 0, -1);
    expect(waiting.sort(), 'each once').toEqual(Array.from({ length: 300 }, (_, n) => letterId(n)));
  });

  it('that breaks off between two letters has told what it did, and loses and doubles nothing', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 200 });
    let calls = 0;
    const retryFinishedJob: typeof queue.backend.retryFinishedJob = (...args) => {
      if (++calls === 75) return Promise.reject(new Error('Redis is gone'));
      return queue.backend.retryFinishedJob(...args);
    };
    const backend = Object.assign(Object.create(queue.backend), { retryFinishedJob });
    const { options } = order();
    expect(await rejection(replayLetters({ ...queue, backend }, options))).toMatchObject({
      code: 'LK_REDIS_DOWN',
      message: 'the replay broke off after 99 dead letters of "letters": Redis is gone; the same order again goes on',
    });
    expect((await journalled(world, lane.tag)).at(-1)).toMatchObject({
      what: 'dead.replayed',
      count: 99,
      isStopped: true,
    });
    expect(await counts(queue)).toEqual({ wait: 99, failed: 101 });
    // Readied and not moved: still a letter, and the next operation takes it.
    expect(await showJob(queue, letterId(74))).toMatchObject({ state: 'dead', reason: 'no 74' });
    expect(await replayLetters(queue, order().options)).toMatchObject({ total: 101, done: 101, skipped: 0 });
    expect(await counts(queue)).toEqual({ wait: 200, failed: 0 });
  });

  it('by three at once, beside somebody who drops, acts on each letter once', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 400 });
    const results = await Promise.all([
      replayLetters(queue, order().options),
      replayLetters(queue, order().options),
      dropLetters(queue, order().options),
      replayLetters(queue, order().options),
    ]);
    expect(results.reduce((sum, { done }) => sum + done, 0)).toBe(400);
    const [a, b, dropped, c] = results.map(({ done }) => done) as [number, number, number, number];
    expect(await counts(queue)).toEqual({ wait: a + b + c, failed: 0 });
    const hashes = (await keysOf(world)).filter((key) => key.includes(':j') && !key.endsWith(':journal'));
    expect(hashes, 'a dropped one is gone, a replayed one is not').toHaveLength(400 - dropped);
  });
});

describe('dropping', () => {
  it('many removes all they had, and says how many', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 300, ofClass: (n) => (n < 100 ? 'gone' : 'auth') });
    const { options } = order({ class: 'gone' });
    expect(await dropLetters(queue, options)).toMatchObject({ total: 300, done: 100 });
    expect((await journalled(world, lane.tag)).map(({ what }) => what)).toEqual(['operation.begun', 'dead.dropped']);
    expect(await counts(queue)).toEqual({ wait: 0, failed: 200 });
    await dropLetters(queue, order().options);
    expect((await keysOf(world)).filter((key) => key.includes(':j') && !key.endsWith(':journal'))).toEqual([]);
  });

  it('one leaves no key of it, its dedupe key neither', async ({ world }) => {
    const queue = world.queue(lane);
    await world.pod([handle(lane, { run: () => dead('no') })]);
    const job = await queue.queue.add('plain', { a: 1 }, { jobId: 'plain-one', deduplication: { id: 'once' } });
    const id = job.id as string;
    await job.log('a line');
    await untilState(queue, id, 'dead');
    await queue.redis.set(queue.backend.toKey('de:once'), id);
    await queue.redis.set(queue.backend.toKey('de:other'), 'another');
    expect(await dropDead(queue, id, BY_ANN)).toMatchObject({ id, state: 'dead', reason: 'no' });
    const left = await keysOf(world);
    expect(left.filter((key) => key.includes(id))).toEqual([]);
    expect(left.filter((key) => key.includes(':de:'))).toEqual([queue.backend.toKey('de:other')]);
    expect(await rejection(dropDead(queue, id, BY_ANN))).toMatchObject({ code: 'LK_UNKNOWN' });
  });

  it('never takes what was replayed meanwhile: BullMQ’s removal would (twin)', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 2 });
    const seen = {
      id: letterId(0),
      diedAt: Number(await queue.redis.zscore(queue.backend.toKey('failed'), letterId(0))),
    };
    await replayDead(queue, seen.id, BY_ANN);
    expect(await removeLetter(queue, seen)).toBe(false);
    expect(await showJob(queue, seen.id)).toMatchObject({ state: 'waiting' });
    expect(await rejection(dropDead(queue, seen.id, BY_ANN))).toMatchObject({ code: 'LK_STATE' });
    await replayDead(queue, letterId(1), BY_ANN);
    await queue.backend.remove(letterId(1), false);
    expect(await rejection(showJob(queue, letterId(1)))).toMatchObject({ code: 'LK_UNKNOWN' });
  });

  it('never takes one that was replayed and died again since it was seen', async ({ world }) => {
    const queue = world.queue(lane);
    await bury(queue, { count: 1 });
    const seen = { id: letterId(0), diedAt: 1 };
    expect(await removeLetter(queue, seen)).toBe(false);
    expect(await replayLetter(queue, seen, 0)).toBe(false);
    expect(await removeLetter(queue, { id: seen.id })).toBe(true);
  });
});
