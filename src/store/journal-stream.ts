// A stream of the journal: the one form of its entries, how they are written, by pods in batches and by whoever gives an order one
// at a time, and how they are read back. Scripts of ours write the same form (write-entry.lua).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EventName } from '../words/events.ts';
import type { Redis } from './connect.ts';

/** Batches kept per tag, roughly: a day of one lane at one outcome a second each. */
export const MAX_BATCHES = 100_000;

/** For what is put together of several texts; other scripts name it as a prelude. */
export const WRITE_ENTRY_FILE = new URL('./write-entry.lua', import.meta.url);
export const WRITE_ENTRY = readFileSync(fileURLToPath(WRITE_ENTRY_FILE), 'utf8');

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

/** What happened, and so many ms before it is written. */
export interface Told {
  what: EventName;
  age: number;
  data: object;
}

/** `gap`: so many entries were lost before these. */
export function writeBatch(
  redis: Redis,
  stream: string,
  who: string,
  told: readonly Told[],
  gap = 0,
): Promise<unknown> {
  const fields = ['who', who, 'batch', toBatch(told), ...(gap > 0 ? ['dropped', String(gap)] : [])];
  return redis.xadd(stream, 'MAXLEN', '~', MAX_BATCHES, '*', ...fields);
}

/** A job that is done, as all but a few of a busy lane are. */
interface Done {
  lane: string;
  job: string;
  attempt: number;
  durationMs: number;
}

/** JSON. Jobs of one lane that are done one after the other are one element, with four values each instead of their names: a quarter of the bytes. */
export function toBatch(told: readonly Told[]): string {
  const texts: string[] = [];
  let done: string[] = [];
  let doneLane: string | undefined;
  const close = () => {
    if (done.length > 0) texts.push(`{${FINISHED},"lane":"${doneLane}","outcome":"done","many":[${done.join()}]}`);
    done = [];
  };
  for (const { what, age, data } of told) {
    if (isDone(what, data)) {
      if (data.lane !== doneLane) close();
      doneLane = data.lane;
      done.push(`${JSON.stringify(data.job)},${data.attempt},${data.durationMs},${age}`);
      continue;
    }
    close();
    // Joined as text: spreading each entry into another object cost more than making text of it.
    const rest = JSON.stringify(data).slice(1);
    texts.push(`{"what":"${what}","age":${age}${rest === '}' ? '' : ','}${rest}`);
  }
  close();
  return `[${texts.join()}]`;
}
const FINISHED = '"what":"attempt.finished"';

function isDone(what: EventName, data: object): data is Done {
  return what === 'attempt.finished' && (data as { outcome: string }).outcome === 'done' && !('agent' in data);
}

function unpack({ many, ...shared }: JournalEntry & { many?: unknown[] }): JournalEntry[] {
  if (!many) return [shared as JournalEntry];
  return Array.from({ length: many.length / 4 }, (_, place) => {
    const [job, attempt, durationMs, age] = many.slice(4 * place, 4 * place + 4);
    return { ...shared, job, attempt, durationMs, age } as JournalEntry;
  });
}

/** The entries of one stream entry, oldest first, with their instants and who wrote them. */
export function readBatch(id: string, fields: string[]): (JournalEntry & { at: number })[] {
  const writtenAt = writtenAtOf(id);
  const entries = JSON.parse(fieldOf(fields, 'batch') ?? '[]') as JournalEntry[];
  const who = whoWrote(fields);
  return entries.flatMap(unpack).map((entry) => ({ ...entry, who: entry.who ?? who, at: writtenAt - entry.age }));
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

/** Takes away what was written before that instant. */
export function trimStream(redis: Redis, stream: string, beforeAt: number): Promise<number> {
  return redis.xtrim(stream, 'MINID', String(Math.max(0, Math.floor(beforeAt))));
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

/**
 * At most `count` batches of each stream, `from` and `to` included. All are seen at one instant: batches and counts agree, and what is
 * written later is later than all of it.
 */
export async function lookIntoStreams(
  redis: Redis,
  wanted: readonly { key: string; from: string; to: string; count: number }[],
): Promise<StreamLook[]> {
  const look = redis.multi();
  for (const { key, from, to, count } of wanted) look.xrange(key, from, to, 'COUNT', count).xinfo('STREAM', key);
  const replies = (await look.exec()) ?? [];
  return wanted.map((_, index) => {
    const [rangeError, batches] = replies[2 * index] as [Error | null, RawBatch[]];
    const [infoError, info] = replies[2 * index + 1] as [Error | null, unknown[]];
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
