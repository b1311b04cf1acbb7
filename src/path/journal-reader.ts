// Reads the journal: merges the streams of all tags by time, page by page behind one opaque cursor, or follows what comes. Memory holds
// a page and a few batches of each stream, however long the journal is. What was lost is a line of its own: by retention, by a
// pod that could not write, by a Redis that lost its data. Nothing is repeated and nothing skipped, wherever a reader stops.

import { openBeside, type Redis } from '../store/connect.ts';
import {
  lookIntoStreams,
  type RawBatch,
  readBatch,
  readDropped,
  type StreamLook,
  whoWrote,
  writtenAtOf,
} from '../store/journal-stream.ts';
import { wrongOption } from '../words/errors.ts';
import type { EventName } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { BEGINNING, type Place, type Places, parseCursor, placeAt, writeCursor } from './journal-cursor.ts';

export interface JournalStream {
  /** Null: the fleet's. */
  tag: string | null;
  key: string;
}

export interface JournalFact {
  /** Epoch ms by Redis. Lines come in the order in which they were written: those of one pod up to 20 ms after they happened, or as long as its Redis was away. */
  at: number;
  what: EventName;
  /** Pod, or user@host. */
  who: string;
  /** Whose stream it stood in; null: the fleet's. */
  tag: string | null;
  [field: string]: unknown;
}

export interface JournalGap {
  /** Between these two instants. */
  at: number;
  untilAt: number;
  what: 'journal.gap';
  /** Who could not write; '' where retention took it. */
  who: string;
  tag: string | null;
  /**
   * `retention`: batches, of one entry or more each. `dropped`: entries that a pod could not write. `lost`: the stream began anew.
   * `unreadable`: one that is not ours.
   */
  why: 'retention' | 'dropped' | 'lost' | 'unreadable';
  /** Null where nobody counted. */
  lost: number | null;
}

export type JournalLine = JournalFact | JournalGap;

export interface JournalPage {
  entries: JournalLine[];
  /** For what comes after them. */
  cursor: string;
  /** There was more when this page was read. */
  hasMore: boolean;
}

export interface JournalQuery {
  redis: Redis;
  streams: readonly JournalStream[];
  /** A cursor; without one from `sinceAt` on, or from the beginning. */
  after?: string | undefined;
  sinceAt?: number | undefined;
  /** Lines of a page, at the most. */
  limit?: number | undefined;
}

const DEFAULT_PAGE = 500;
const MAX_PAGE = 10_000;
/** Batches of a stream read at first; twice as many each time, for a quiet stream holds one line in each and a busy one 300. */
const FIRST_READ = 4;
/** Batches in hand, of all streams together: 128 of a busy one are 6 MB. */
const MAX_READ = 128;
/** A follower looks again this often also when nobody calls it: a stream that began anew calls nobody. */
const LOOK_AGAIN_MS = 5_000;
const AWAY_PAUSE_MS = 200;

/** One for each tag, an upstream's or a lane's own, and the fleet's. */
export function journalStreams(keys: Keys, tags: Iterable<string>): JournalStream[] {
  const known = [...new Set(tags)].sort();
  return [...known.map((tag) => ({ tag, key: keys.journal(tag) })), { tag: null, key: keys.fleetJournal() }];
}

export async function readJournal(query: JournalQuery): Promise<JournalPage> {
  return createMerge(query.redis, query).page();
}

/** Pages as what they tell comes, until `signal`. A Redis that is away is waited for; it has a connection of its own. */
export async function* followJournal(query: JournalQuery, signal: AbortSignal): AsyncGenerator<JournalPage> {
  const redis = openBeside(query.redis);
  const leave = () => redis.disconnect();
  signal.addEventListener('abort', leave);
  try {
    const merge = createMerge(redis, query);
    while (!signal.aborted) {
      try {
        const page = await merge.page();
        if (page.entries.length > 0) yield page;
        else if (!page.hasMore) await redis.xread('COUNT', 1, 'BLOCK', LOOK_AGAIN_MS, 'STREAMS', ...merge.after());
      } catch (error) {
        if (signal.aborted) return;
        if ((error as Error).name === 'ReplyError') throw error;
        await new Promise((resolve) => setTimeout(resolve, AWAY_PAUSE_MS));
      }
    }
  } finally {
    signal.removeEventListener('abort', leave);
    redis.disconnect();
  }
}

/** One stream on its way into the merge. */
interface Head extends JournalStream {
  place: Place;
  /** Read, and not yet told. */
  batches: RawBatch[];
  /** Of the first of them. */
  lines: JournalLine[] | undefined;
  gap: { line: JournalGap; place: Place } | undefined;
  /** The newest when this page began, and how many there ever were up to it; undefined: not looked at yet. */
  upTo: { id: string; written: number | null } | undefined;
  /** It has no more for this page. */
  isDrained: boolean;
  count: number;
}

const UNREAD = { lines: undefined, gap: undefined, upTo: undefined, isDrained: false, count: FIRST_READ } as const;

function createMerge(redis: Redis, { streams, after, sinceAt, limit = DEFAULT_PAGE }: JournalQuery) {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw wrongOption('LK_INPUT', 'limit', `a whole number from 1 to ${MAX_PAGE}`, limit);
  }
  const places: Places = after === undefined ? new Map() : parseCursor(after);
  const start = after === undefined && sinceAt !== undefined ? placeAt(sinceAt) : BEGINNING;
  const heads = streams.map((stream): Head => {
    return { ...stream, ...UNREAD, place: places.get(stream.tag ?? '') ?? start, batches: [] };
  });
  const maxCount = Math.max(FIRST_READ, Math.floor(MAX_READ / Math.max(1, heads.length)));

  async function fill(empty: readonly Head[]): Promise<void> {
    // The batch that was read last is asked for again: while it is there nothing before it is gone.
    const wanted = empty.map(({ key, place, upTo, count }) => {
      return { key, from: place.id, to: upTo?.id ?? '+', count: count + 1 };
    });
    const looks = await lookIntoStreams(redis, wanted);
    for (const [index, head] of empty.entries()) {
      takeIn(head, looks[index] as StreamLook);
      head.count = Math.min(2 * head.count, maxCount);
    }
  }

  function takeIn(head: Head, { batches, stream }: StreamLook): void {
    head.isDrained = batches.length <= head.count;
    if (!stream) return;
    const { kept, trimmed, firstId, lastId } = stream;
    const newest = { id: lastId, written: trimmed === null ? null : trimmed + kept };
    head.upTo ??= newest;
    const isThere = batches[0]?.[0] === head.place.id;
    if (isThere && head.place.taken === null) batches.shift();
    head.gap = isThere ? undefined : findGap(head, stream);
    // It began anew, by a clock that is behind what was read: what lies before that is asked for when the gap was told.
    if (head.gap && firstId !== null && batches[0]?.[0] !== firstId) {
      head.isDrained = false;
      head.upTo = newest;
      return;
    }
    head.batches = batches;
    // At the end it is known how many there were, also for who began in the middle.
    const { written } = head.upTo;
    if (!head.gap && head.isDrained && written !== null) {
      head.place = { ...head.place, passed: written - batches.length };
    }
  }

  async function page(): Promise<JournalPage> {
    const entries: JournalLine[] = [];
    // Each page is of one instant: what is written meanwhile is later than all of it, in whichever stream, and for the next one.
    for (const head of heads) Object.assign(head, UNREAD, { batches: [] });
    while (entries.length < limit) {
      const empty = heads.filter(({ batches, gap, isDrained }) => batches.length === 0 && !gap && !isDrained);
      if (empty.length > 0) {
        await fill(empty);
        continue;
      }
      const head = earliest(heads);
      if (!head) break;
      tell(head, entries, limit);
    }
    const hasMore = heads.some(({ batches, gap, isDrained }) => batches.length > 0 || gap || !isDrained);
    return { entries, cursor: writeCursor(new Map(heads.map(({ tag, place }) => [tag ?? '', place]))), hasMore };
  }

  return {
    page,
    /** Keys and ids, as XREAD takes them. */
    after: () => [...heads.map(({ key }) => key), ...heads.map(({ place }) => idBefore(place))],
  };
}

/** The place is not there any more, or never was. */
function findGap({ tag, place }: Head, stream: NonNullable<StreamLook['stream']>): Head['gap'] {
  const { firstId, lastId, trimmed } = stream;
  const untilAt = writtenAtOf(firstId ?? lastId);
  const stoodAt = writtenAtOf(place.id);
  const at = stoodAt === 0 ? untilAt : Math.min(stoodAt, untilAt);
  const next: Place =
    firstId === null ? { id: lastId, taken: null, passed: trimmed } : { id: firstId, taken: 0, passed: trimmed };
  const gapOf = (why: JournalGap['why'], lost: number | null): Head['gap'] => {
    return { line: { at, untilAt, what: 'journal.gap', who: '', tag, why, lost }, place: next };
  };
  if (trimmed !== null && place.passed !== null) {
    const lost = trimmed - place.passed;
    if (lost < 0) return gapOf('lost', null);
    return lost > 0 ? gapOf('retention', lost) : undefined;
  }
  if (place.taken !== 0) return gapOf('retention', null);
  // An instant, not a batch: what is gone may lie before it or after.
  const mayLack = trimmed !== null && trimmed > 0 && firstId !== null && writtenAtOf(firstId) > stoodAt;
  return mayLack ? gapOf('retention', null) : undefined;
}

/** Batches merge by their ids, which are instants by Redis; of two at once that of the first stream comes first. */
function earliest(heads: readonly Head[]): Head | undefined {
  let first: Head | undefined;
  let [firstMs, firstSeq] = [0, 0];
  for (const head of heads) {
    const id = head.gap?.place.id ?? head.batches[0]?.[0];
    if (id === undefined) continue;
    const [ms, seq] = id.split('-').map(Number) as [number, number];
    if (first && (ms > firstMs || (ms === firstMs && seq >= firstSeq))) continue;
    [first, firstMs, firstSeq] = [head, ms, seq];
  }
  return first;
}

/** Puts what is next of a stream on the page, as far as it has room. */
function tell(head: Head, entries: JournalLine[], limit: number): void {
  if (head.gap) {
    entries.push(head.gap.line);
    head.place = head.gap.place;
    head.gap = undefined;
    return;
  }
  const batch = head.batches[0] as RawBatch;
  const [id] = batch;
  head.lines ??= toLines(head.tag, batch);
  const { taken, passed } = head.place;
  const from = head.place.id === id ? (taken ?? 0) : 0;
  const to = Math.min(head.lines.length, from + limit - entries.length);
  for (let index = from; index < to; index++) entries.push(head.lines[index] as JournalLine);
  if (to < head.lines.length) {
    head.place = { id, taken: to, passed };
    return;
  }
  head.place = { id, taken: null, passed: passed === null ? null : passed + 1 };
  head.batches.shift();
  head.lines = undefined;
}

function toLines(tag: string | null, [id, fields]: RawBatch): JournalLine[] {
  const writtenAt = writtenAtOf(id);
  const gapOf = (why: JournalGap['why'], lost: number | null, who: string, at: number): JournalGap => {
    return { at, untilAt: writtenAt, what: 'journal.gap', who, tag, why, lost };
  };
  try {
    const entries = readBatch(id, fields);
    const lines: JournalLine[] = entries.map(({ age, ...entry }) => ({ ...entry, tag }));
    if (!lines.every(({ what, at }) => typeof what === 'string' && Number.isFinite(at))) throw new Error('not ours');
    const dropped = readDropped(fields);
    if (dropped > 0) lines.unshift(gapOf('dropped', dropped, whoWrote(fields), entries[0]?.at ?? writtenAt));
    return lines;
  } catch {
    return [gapOf('unreadable', null, '', writtenAt)];
  }
}

function idBefore({ id, taken }: Place): string {
  const writtenAt = writtenAtOf(id);
  return taken === null || writtenAt === 0 ? id : `${writtenAt - 1}-0`;
}
