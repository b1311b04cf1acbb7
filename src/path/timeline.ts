// Reads the journal for a telling: the lines of a span and, where one lane is asked for, of what concerns it, page by page.

import type { Redis } from '../store/connect.ts';
import { followJournal, type JournalStream, readJournal } from './journal-reader.ts';
import { namesOf, numberOf, type TimelineLine, textOf } from './timeline-line.ts';

/** A page of a busy minute; 10,000 lines are 5 MB. */
const PAGE = 2_000;
/** Pods that could not reach Redis write later what happened in the span. */
const LATE_MS = 15 * 60_000;

export interface TimelineQuery {
  redis: Redis;
  streams: readonly JournalStream[];
  sinceAt: number;
  /** undefined: to the journal's end. */
  untilAt: number | undefined;
  /** What concerns another lane alone is left out; its upstream, the pods and Redis are not. */
  lane: string | undefined;
}

/** Answers where a follower goes on. */
export async function* readTimeline(query: TimelineQuery): AsyncGenerator<TimelineLine, string> {
  const { redis, streams, sinceAt, untilAt = Number.POSITIVE_INFINITY } = query;
  let after: string | undefined;
  for (;;) {
    const page = await readJournal({ redis, streams, after, sinceAt, limit: PAGE });
    for (const line of page.entries as TimelineLine[]) if (isWanted(line, query)) yield line;
    after = page.cursor;
    const last = page.entries.at(-1);
    if (!page.hasMore || (last && last.at > untilAt + LATE_MS)) return after;
  }
}

/** From there on, as things happen, until `signal`. */
export async function* followTimeline(
  query: TimelineQuery,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<TimelineLine> {
  const { redis, streams } = query;
  for await (const { entries } of followJournal({ redis, streams, after, limit: PAGE }, signal))
    for (const line of entries as TimelineLine[]) if (isWanted(line, query)) yield line;
}

function isWanted(line: TimelineLine, { sinceAt, untilAt = Number.POSITIVE_INFINITY, lane }: TimelineQuery): boolean {
  const endAt = line.what === 'journal.gap' ? (numberOf(line, 'untilAt') ?? line.at) : line.at;
  return endAt >= sinceAt && line.at <= untilAt && (lane === undefined || concerns(line, lane));
}

function concerns(line: TimelineLine, lane: string): boolean {
  const of = textOf(line, 'lane');
  const lanes = namesOf(line, 'lanes'); // of a group with one owner, beside the one that was named
  return of === lane || lanes.includes(lane) || (of === null && lanes.length === 0);
}
