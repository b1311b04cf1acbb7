// Carries out an order whose change is BullMQ's, so that the journal never lacks it: the intent is on the record before the change,
// its result after. Dying in between leaves the intent, which a pod closes by what it then finds.

import { beginIntent, closeIntent, type Intent, newIntentId } from '../store/intents.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError } from '../words/errors.ts';

/** By whom and why. */
export interface Order {
  who: string;
  reason: string | null;
}

export interface AuditedIntent extends Order {
  what: Intent['what'];
  job?: string;
  before: string;
  /** More for its entry. */
  more?: Record<string, unknown>;
  /** What tells later whether it happened. */
  seen?: Record<string, unknown>;
}

/** What is the case now, or what was found instead, and then nothing was changed. */
export type Changed = { after: string } | { found: string };

/** True when `change` did it. What it refuses, it refuses before it changed anything; whatever else it throws leaves that open. */
export async function underIntent(
  laneQueue: LaneQueue,
  { what, who, reason, job, before, more, seen = {} }: AuditedIntent,
  change: (intent: string) => Promise<Changed>,
): Promise<boolean> {
  const id = newIntentId();
  const ref = { lane: laneQueue.lane.name, ...(job !== undefined && { job }) };
  const entry = { ...ref, reason, ...more, before };
  crashPoint('before-intent');
  const begun = { ...ref, order: what, reason, before, intent: id };
  await beginIntent(laneQueue, id, { what, who, entry, seen }, { what: 'order.begun', entry: begun });
  crashPoint('after-intent');
  let changed: Changed;
  try {
    changed = await change(id);
  } catch (error) {
    if (error instanceof LanekeeperError) await voidOrder(laneQueue, id, { what, who, entry, seen }, error.message);
    throw error;
  }
  crashPoint('after-change');
  if ('found' in changed) await voidOrder(laneQueue, id, { what, who, entry, seen }, changed.found);
  else await closeIntent(laneQueue, id, { what, who, entry: { ...entry, ...changed } });
  crashPoint('after-result');
  return 'after' in changed;
}

/** It changed nothing, and the journal says what was found instead. */
export function voidOrder(
  laneQueue: LaneQueue,
  id: string,
  { what, who, entry }: Intent,
  found: string,
  keeps = false,
) {
  return closeIntent(laneQueue, id, { what: 'order.voided', who, entry: { ...entry, order: what, found } }, keeps);
}
