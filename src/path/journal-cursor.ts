// Where a reader of the journal stands: in each stream the batch it came to and how much of it was read. To others it is one opaque
// text, so that nobody builds on what is inside; one that we did not make is refused with one clear line.

import { wrongOption } from '../words/errors.ts';

export interface Place {
  /** Of a batch; of none yet, the first id at which one may lie. */
  id: string;
  /** So many of its lines were read; null: all of them. */
  taken: number | null;
  /** So many batches of the stream lie before what comes next, ever written; null where nobody counted. */
  passed: number | null;
}

export const BEGINNING: Place = Object.freeze({ id: '0-0', taken: 0, passed: 0 });

/** The first batch that may hold what happened at this instant or later. */
export function placeAt(at: number): Place {
  return at <= 0 ? BEGINNING : { id: `${Math.floor(at)}-0`, taken: 0, passed: null };
}

/** By stream: its tag, or '' for the fleet's. */
export type Places = ReadonlyMap<string, Place>;

const VERSION = 1;
const MAX_CURSOR = 256 * 1024;
/** As many digits as a number holds exactly: Redis itself gives no longer ones. */
const ID = /^\d{1,15}-\d{1,15}$/;

export function writeCursor(places: Places): string {
  const known = [...places].map(([name, { id, taken, passed }]) => [name, id, taken, passed]);
  return Buffer.from(JSON.stringify([VERSION, ...known])).toString('base64url');
}

export function parseCursor(cursor: unknown): Places {
  const places = typeof cursor === 'string' && cursor.length <= MAX_CURSOR ? decode(cursor) : undefined;
  if (places && writeCursor(places) === cursor) return places;
  throw wrongOption(
    'LK_INPUT',
    'after',
    'a cursor as the journal gave it (without one it is read from its beginning)',
    cursor,
  );
}

function decode(cursor: string): Places | undefined {
  let rows: unknown;
  try {
    rows = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
  if (!Array.isArray(rows) || rows[0] !== VERSION) return undefined;
  const places = new Map<string, Place>();
  for (const row of rows.slice(1)) {
    if (!Array.isArray(row) || row.length !== 4) return undefined;
    const [name, id, taken, passed] = row as unknown[];
    if (typeof name !== 'string' || places.has(name) || typeof id !== 'string' || !ID.test(id)) return undefined;
    if (!isCount(taken) || !isCount(passed)) return undefined;
    places.set(name, { id, taken, passed });
  }
  return places;
}

function isCount(value: unknown): value is number | null {
  return value === null || (Number.isSafeInteger(value) && (value as number) >= 0);
}
