// The dead-letter store is the lane's failed set: nothing is copied, so nothing can be lost between two writes. Here is what
// can be done with one letter; what is done with many stands in letter-operation and letter-export.

import type { MinimalJob } from 'bullmq';
import { isNotOurs, type LaneQueue } from '../store/lane-queue.ts';
import { dropLetter } from '../store/scripts/drop-letter.ts';
import { readyLetter } from '../store/scripts/ready-letter.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { FailureClass } from '../words/failure.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import { type Order, underIntent } from './audited.ts';
import { type JobView, listJobs, showJob } from './inspect.ts';
import { type Letter, ofClass } from './letters.ts';

/** Newest first. */
export async function listDead(laneQueue: LaneQueue, limit: number, wanted?: FailureClass): Promise<JobView[]> {
  if (wanted === undefined) return listJobs(laneQueue, ['dead'], limit);
  const found: JobView[] = [];
  const failed = laneQueue.backend.toKey('failed');
  for (let start = 0; found.length < limit; start += 50) {
    const ids = await laneQueue.redis.zrevrange(failed, start, start + 49);
    if (ids.length === 0) break;
    const page = ids.map((id) => ({ id, diedAt: 0 }));
    for (const { id } of (await ofClass(laneQueue, page, wanted)).slice(0, limit - found.length)) {
      // Gone while we looked is no error.
      const job = await showJob(laneQueue, id).catch(() => undefined);
      if (job?.state === 'dead') found.push(job);
    }
  }
  return found;
}

export async function showDead(laneQueue: LaneQueue, id: string): Promise<JobView> {
  return expectDead(await showJob(laneQueue, id));
}

/** Back into the line with all its attempts, the same id and its whole history. Answers the letter as it was. */
export async function replayDead(laneQueue: LaneQueue, id: string, { who, reason }: Order): Promise<JobView> {
  const letter = await showDead(laneQueue, id);
  const { class: ofClass, finishedAt } = letter;
  const facts = { job: id, before: 'dead', more: { class: ofClass }, seen: { diedAt: finishedAt } };
  const isReplayed = await underIntent(laneQueue, { what: 'job.replayed', who, reason, ...facts }, async () => {
    return (await replayLetter(laneQueue, { id }, 0)) ? { after: 'waiting' } : { found: 'somebody was faster' };
  });
  return isReplayed ? letter : tooLate(laneQueue, id);
}

/** Out of the lane for good. Answers the letter as it was. */
export async function dropDead(laneQueue: LaneQueue, id: string, order: Order): Promise<JobView> {
  const letter = await showDead(laneQueue, id);
  if (await removeLetter(laneQueue, { id }, { ...order, class: letter.class })) return letter;
  return tooLate(laneQueue, id);
}

/** One letter, or its latest death when no instant is given. */
export type LetterRef = Pick<Letter, 'id'> & Partial<Letter>;

/**
 * False when somebody else was faster, or an operation that began at `begunAt` (Redis time) has replayed it before. Dying
 * between the two steps leaves a dead letter that merely forgot how often it had met a limit.
 */
export async function replayLetter(laneQueue: LaneQueue, letter: LetterRef, begunAt: number): Promise<boolean> {
  const { redis, backend, jobKey } = laneQueue;
  const { id, diedAt } = letter;
  const isReady = await readyLetter.run(
    redis,
    { failed: backend.toKey('failed'), job: jobKey(id) },
    {
      id,
      diedAt: diedAt ?? '',
      begunAt,
      replayedField: JOB_FIELDS.replayed,
      gateField: JOB_FIELDS.gate,
      untilField: JOB_FIELDS.until,
      reasonField: JOB_FIELDS.reason,
      parksField: JOB_FIELDS.parks,
    },
  );
  if (!isReady) return false;
  try {
    await backend.retryFinishedJob({ id, opts: {} } as unknown as MinimalJob, 'failed', { resetAttemptsMade: true });
    return true;
  } catch (error) {
    if (isNotOurs(error)) return false;
    throw error;
  }
}

/** False when somebody else was faster. With `order` the journal says whose it was; without it is one of many, which are told together. */
export function removeLetter(
  { redis, backend, jobKey, lane, journal }: LaneQueue,
  { id, diedAt }: LetterRef,
  order?: Order & { class: FailureClass | null },
): Promise<boolean> {
  const { who = '', ...why } = order ?? {};
  return dropLetter.run(
    redis,
    { failed: backend.toKey('failed'), job: jobKey(id), events: backend.toKey('events'), journal },
    {
      id,
      diedAt: diedAt ?? '',
      queue: backend.toKey(''),
      who,
      known: JSON.stringify({ lane: lane.name, job: id, ...why }),
    },
  );
}

/** Somebody was faster: says what it is now. */
async function tooLate(laneQueue: LaneQueue, id: string): Promise<never> {
  const { lane } = expectDead(await showJob(laneQueue, id));
  throw new LanekeeperError(
    'LK_STATE',
    `job ${quote(id)} of lane ${quote(lane)} was replayed meanwhile and died again`,
  );
}

function expectDead(job: JobView): JobView {
  if (job.state === 'dead') return job;
  throw new LanekeeperError('LK_STATE', `job ${quote(job.id)} of lane ${quote(job.lane)} is ${job.state}, not dead`);
}
