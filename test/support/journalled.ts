// What stands in the journal of a tag, as a test compares it: without the instants.

import type { Redis } from 'ioredis';
import { type RawBatch, readBatch } from '../../src/store/journal-stream.ts';
import type { Keys } from '../../src/words/keys.ts';

export interface Told {
  what: string;
  who: string;
  [field: string]: unknown;
}

export async function journalled({ redis, keys }: { redis: Redis; keys: Keys }, tag: string): Promise<Told[]> {
  const batches = (await redis.xrange(keys.journal(tag), '-', '+')) as RawBatch[];
  return batches.flatMap((batch) => readBatch(...batch)).map(({ at, age, ...entry }) => entry);
}
