// A stream of the journal: the one form of its entries, how they are written, by pods in batches and by whoever gives an order one
// at a time, and how they are read back. Scripts of ours write the same form (store/scripts/write-entry.lua).

import type { EventName } from '../words/events.ts';
import type { Redis } from './connect.ts';

/** Batches kept per tag, roughly: a day of one lane at one outcome a second each. */
export const MAX_BATCHES = 100_000;

/** One thing that happened. Its instant is the stream entry's (Redis time) minus `age` in ms. */
export interface JournalEntry {
  what: EventName;
  /** Pod, or user@host. */
  who: string;
  age: number;
  [field: string]: unknown;
}

/** As Redis answers it: id and fields. */
export type RawBatch = [id: string, fields: string[]];

/** `gap`: so many entries were lost before these. */
export function writeBatch(
  redis: Redis,
  stream: string,
  who: string,
  texts: readonly string[],
  gap = 0,
): Promise<unknown> {
  const fields = ['who', who, 'batch', `[${texts.join()}]`, ...(gap > 0 ? ['dropped', String(gap)] : [])];
  return redis.xadd(stream, 'MAXLEN', '~', MAX_BATCHES, '*', ...fields);
}

/** Joined as text: spreading each entry into another object cost more than making text of it. */
export function toBatchText(what: EventName, age: number, data: object): string {
  const rest = JSON.stringify(data).slice(1);
  return `{"what":"${what}","age":${age}${rest === '}' ? '' : ','}${rest}`;
}

/** The entries of one stream entry, oldest first, with their instants and who wrote them. */
export function readBatch(id: string, fields: string[]): (JournalEntry & { at: number })[] {
  const writtenAt = writtenAtOf(id);
  const entries = JSON.parse(fieldOf(fields, 'batch') ?? '[]') as JournalEntry[];
  const who = whoWrote(fields);
  return entries.map((entry) => ({ ...entry, who: entry.who ?? who, at: writtenAt - entry.age }));
}

export function whoWrote(fields: string[]): string {
  return fieldOf(fields, 'who') ?? '';
}

/** So many entries were lost before these: the pod could not write them. */
export function readDropped(fields: string[]): number {
  return Number(fieldOf(fields, 'dropped') ?? 0);
}

/** Epoch ms by Redis. */
export function writtenAtOf(id: string): number {
  return Number(id.split('-', 1)[0]);
}

function fieldOf(fields: string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

/** What is in a stream from an id on, seen at one instant. */
export interface StreamLook {
  batches: RawBatch[];
  /** Null: the stream is not there. */
  stream: StreamState | null;
}

export interface StreamState {
  /** Batches that are kept. */
  kept: number;
  /** That retention removed, of all that were ever written; null before Redis 7, which does not count them. */
  trimmed: number | null;
  /** The oldest that is kept. */
  firstId: string | null;
  /** Of the newest ever written. */
  lastId: string;
}

/** At most `count` batches of each stream, the one called `from` included. One transaction each: batches and counts agree. */
export async function lookIntoStreams(
  redis: Redis,
  wanted: readonly { key: string; from: string; count: number }[],
): Promise<StreamLook[]> {
  const transactions = wanted.map(({ key, from, count }) =>
    redis.multi().xrange(key, from, '+', 'COUNT', count).xinfo('STREAM', key).exec(),
  );
  return (await Promise.all(transactions)).map((replies) => {
    const [[rangeError, batches], [infoError, info]] = replies as [
      [Error | null, RawBatch[]],
      [Error | null, unknown[]],
    ];
    if (rangeError) throw rangeError;
    if (infoError && !infoError.message.includes('no such key')) throw infoError;
    return { batches, stream: infoError ? null : toState(info) };
  });
}

function toState(info: unknown[]): StreamState {
  const field = (name: string) => info[info.indexOf(name) + 1];
  const [firstId = null] = (field('first-entry') as RawBatch | null) ?? [];
  const kept = Number(field('length'));
  const trimmed = info.includes('entries-added') ? Number(field('entries-added')) - kept : null;
  return { kept, trimmed, firstId, lastId: String(field('last-generated-id')) };
}
