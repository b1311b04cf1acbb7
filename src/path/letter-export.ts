// Dead letters as records that stand by themselves, for whoever takes them elsewhere: one at a time, so that memory holds no
// more than fifty, however many there are. Instants are texts; what is in a payload stays as it was sent.

import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import { toInstant } from '../words/clock.ts';
import type { FailureClass } from '../words/failure.ts';
import { openEnvelope } from './envelope.ts';
import { type Letter, readFields, walkLetters } from './letters.ts';
import { parseStacks, readStack } from './stack.ts';

export interface LetterRecord {
  id: string;
  lane: string;
  class: FailureClass | null;
  reason: string | null;
  attempts: number;
  agent: string | null;
  key: string | null;
  payload: unknown;
  enqueuedAt: string | null;
  finishedAt: string | null;
  /** Oldest first. Of one that we did not write only its text is known. */
  stacks: { class?: FailureClass; attempt?: number; pod?: string; agent?: string | null; at?: string; trace: string }[];
}

const FIELDS = ['data', 'timestamp', 'failedReason', 'atm', 'stacktrace'] as const;

/** Oldest first, of those that are dead when it begins; who leaves meanwhile is left out. */
export async function* exportLetters(laneQueue: LaneQueue, wanted?: FailureClass): AsyncGenerator<LetterRecord> {
  for await (const letters of walkLetters(laneQueue, await redisNow(laneQueue.redis))) {
    const fields = await readFields(laneQueue, letters, ...FIELDS);
    for (const [index, letter] of letters.entries()) {
      const record = toRecord(laneQueue.lane.name, letter, fields[index] ?? []);
      if (record && (wanted === undefined || record.class === wanted)) yield record;
    }
  }
}

function toRecord(lane: string, { id, diedAt }: Letter, fields: (string | null)[]): LetterRecord | undefined {
  const [data, timestamp, reason = null, attempts, stacktrace] = fields;
  if (data === null || data === undefined) return undefined;
  const { payload, agent, key } = openEnvelope(data);
  const stacks = parseStacks(stacktrace ?? undefined).map((text) => {
    const facts = readStack(text);
    return facts ? { ...facts, at: toInstant(facts.at) ?? '' } : { trace: text };
  });
  const known = stacks.filter((stack) => 'class' in stack);
  return {
    id,
    lane,
    class: known.at(-1)?.class ?? null,
    reason,
    attempts: Number(attempts ?? 0),
    agent,
    key,
    payload,
    enqueuedAt: toInstant(timestamp ? Number(timestamp) : null),
    finishedAt: toInstant(diedAt),
    stacks,
  };
}
