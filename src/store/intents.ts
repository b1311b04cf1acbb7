// Orders whose change is BullMQ's own script, in which no entry of ours can be written: an intent stands in Redis from before the
// change until its result is in the journal. Whoever finds one that was left closes it by what is the case (engine/intent-keeper).

import { randomBytes } from 'node:crypto';
import type { EventName } from '../words/events.ts';
import type { LaneQueue } from './lane-queue.ts';
import { beginIntent as begin } from './scripts/begin-intent.ts';
import { closeIntent as close } from './scripts/close-intent.ts';
import { knowTag } from './scripts/know-tag.ts';

/** What becomes of the order when it was carried out. */
export type Ordered =
  | 'lane.paused'
  | 'lane.resumed'
  | 'cancel.ordered'
  | 'job.cancelled'
  | 'job.replayed'
  | 'dead.replayed'
  | 'dead.dropped'
  | 'jobs.adopted'
  | 'jobs.dropped';

export interface Intent {
  what: Ordered;
  who: string;
  /** Of its result, as far as it is known before. */
  entry: { lane: string; job?: string; reason: string | null; [field: string]: unknown };
  /** What tells whether it happened. */
  seen: Record<string, unknown>;
}

export interface OpenIntent extends Intent {
  id: string;
  /** Epoch ms by Redis of its last sign of life. */
  at: number;
}

type Place = Pick<LaneQueue, 'redis' | 'journal' | 'intents'>;
type Known = Place & Pick<LaneQueue, 'lane' | 'intentTags'>;

export function newIntentId(): string {
  return `i_${randomBytes(8).toString('hex')}`;
}

/** `told` is the entry that says that it begins; without one it is a sign of life. */
export async function beginIntent(
  { redis, journal, intents, intentTags, lane }: Known,
  id: string,
  intent: Intent,
  told?: { what: EventName; entry: object },
): Promise<void> {
  const { who } = intent;
  // First, and on its own: the set lies on another shard. So no intent is where nobody looks.
  if (told) await knowTag.run(redis, { intentTags }, { tag: lane.tag });
  const known = JSON.stringify(told?.entry ?? {});
  await begin.run(
    redis,
    { intents, journal },
    { id, intent: JSON.stringify(intent), who, what: told?.what ?? '', known },
  );
}

/**
 * Writes its result, once: false when somebody else has. `keeps`: whoever gave the order may still come and carry it out, and is
 * heard then.
 */
export function closeIntent(
  { redis, journal, intents }: Place,
  id: string,
  result: { what: EventName; who: string; entry: object },
  keeps = false,
): Promise<boolean> {
  const known = JSON.stringify({ ...result.entry, intent: id });
  const { what, who } = result;
  return close.run(redis, { intents, journal }, { id, what, who, known, keeps: keeps ? 1 : '' });
}

/** Those that are open, and until when others were kept that nobody came back to. */
export async function readIntents({
  redis,
  intents,
}: Pick<Place, 'redis' | 'intents'>): Promise<{ open: OpenIntent[]; closed: [string, number][] }> {
  const all = Object.entries(await redis.hgetall(intents));
  const isOpen = ([, text]: [string, string]) => !text.startsWith('-');
  return {
    open: all.filter(isOpen).map(([id, text]) => ({ ...(JSON.parse(text) as Omit<OpenIntent, 'id'>), id })),
    closed: all.filter((one) => !isOpen(one)).map(([id, text]) => [id, Number(text.slice(1))]),
  };
}
