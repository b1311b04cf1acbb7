// Walks a lane's dead letters page by page, oldest first, while others replay, drop and bury: every letter that stays is seen
// once, and memory holds one page, however many there are.

import type { LaneQueue } from '../store/lane-queue.ts';
import { type Letter, pageLetters } from '../store/scripts/page-letters.ts';
import type { FailureClass } from '../words/failure.ts';
import { parseStacks, readStack } from './stack.ts';

export type { Letter };

/** Ids of a page: 200 cost Redis 0.4 ms, so nobody else waits for a walk. */
const PAGE = 200;
/** Whole letters read at once. Stacks may have 160 KiB together, so this bounds a walk's memory at 8 MiB at the worst. */
const WHOLE = 50;

export async function* walkLetters(laneQueue: LaneQueue, untilAt: number): AsyncGenerator<Letter[]> {
  let after: { at: number | '-inf'; id: string } = { at: '-inf', id: '' };
  for (;;) {
    const page = await pageLetters.run(
      laneQueue.redis,
      { failed: laneQueue.backend.toKey('failed') },
      { afterAt: after.at, afterId: after.id, untilAt, count: PAGE },
    );
    const last = page.at(-1);
    if (!last) return;
    for (let start = 0; start < page.length; start += WHOLE) yield page.slice(start, start + WHOLE);
    after = { at: last.diedAt, id: last.id };
  }
}

export function countLetters({ redis, backend }: LaneQueue, untilAt: number): Promise<number> {
  return redis.zcount(backend.toKey('failed'), '-inf', untilAt);
}

/** Fields of BullMQ's job hash, letter by letter; null for what is not there (any more). */
export async function readFields(
  { redis, jobKey }: LaneQueue,
  letters: readonly Letter[],
  ...fields: string[]
): Promise<(string | null)[][]> {
  const pipeline = redis.pipeline();
  for (const { id } of letters) pipeline.hmget(jobKey(id), ...fields);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply as (string | null)[];
  });
}

export async function ofClass(
  laneQueue: LaneQueue,
  letters: readonly Letter[],
  wanted: FailureClass,
): Promise<Letter[]> {
  const fields = await readFields(laneQueue, letters, 'stacktrace');
  return letters.filter((_, index) => classOf(fields[index]?.[0]) === wanted);
}

/** What its last failure was; null when that was not written by us. */
export function classOf(stacktrace: string | null | undefined): FailureClass | null {
  const last = parseStacks(stacktrace ?? undefined).flatMap((text) => readStack(text) ?? []);
  return last.at(-1)?.class ?? null;
}
