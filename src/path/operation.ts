// The record of an order over many jobs, which takes its time: that it begins, and how it ended. Dying in between leaves its intent,
// by which a pod tells how far it had come (engine/intent-keeper): what is done is put down with each step.

import { randomBytes } from 'node:crypto';
import { beginIntent, closeIntent, type Intent, newIntentId } from '../store/intents.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { EventName } from '../words/events.ts';

export interface OperationOf {
  /** The entry that tells how it ended. */
  what: Intent['what'];
  who: string;
  /** That entry as of now. */
  toEntry: () => Intent['entry'];
}

export interface Operation {
  /** What is done so far, and a sign of life: to be given at least three times within the 10 s after which it is taken to be left. */
  isAlive(): Promise<void>;
  end(): Promise<unknown>;
}

/** By the instant it begins at, so that they sort. */
export function newOperationId(begunAt: number): string {
  return `o_${begunAt.toString(16).padStart(12, '0')}${randomBytes(4).toString('hex')}`;
}

export async function openOperation(
  laneQueue: LaneQueue,
  { what, who, toEntry }: OperationOf,
  begun: { what: EventName; entry: object },
): Promise<Operation> {
  const id = newIntentId();
  const put = (told?: { what: EventName; entry: object }) =>
    beginIntent(laneQueue, id, { what, who, entry: toEntry(), seen: {} }, told);
  await put({ ...begun, entry: { ...begun.entry, intent: id } });
  return { isAlive: () => put(), end: () => closeIntent(laneQueue, id, { what, who, entry: toEntry() }) };
}
