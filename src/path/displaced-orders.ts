// What an operator may order about the jobs that displaced owners left: adopt them, for whoever holds the lane now, or drop them. The
// order stands in the journal before anything is moved, and what came of it after; with each page how far it has come, so that of
// one who dies in the middle a pod tells that (path/operation). The same order again goes on where it ended.

import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { bringBack, ownedLane } from './aside.ts';
import { cancelJob } from './cancel.ts';
import { toName } from './definition.ts';
import type { Lane } from './lane.ts';
import { newOperationId, openOperation } from './operation.ts';
import { AS_FORM, readFeeder, sayTake } from './owned.ts';

const PAGE = 200;

export interface DisplacedOwner {
  as: string;
  /** Null: whoever it was of that name. */
  by: string | null;
}

export interface DisplacedOrder {
  laneQueue: LaneQueue;
  lane: Lane;
  keys: Keys;
  of: DisplacedOwner;
  /** By whom and why. */
  who: string;
  reason: string;
}

/** 'cron' or 'cron:ann@desk'. */
export function readDisplacedOwner(text: string): DisplacedOwner {
  const [as = '', ...rest] = text.split(':');
  const by = rest.length === 0 ? null : rest.join(':');
  if (toName(as) && by !== '') return { as, by };
  throw new LanekeeperError(
    'LK_INPUT',
    `--of: expected ${AS_FORM}, or with who it was, cron:ann@desk; got ${quote(text)}`,
  );
}

/** They become the jobs of the lane's owner, and go back into line. Answers how many. */
export async function adoptDisplaced(order: DisplacedOrder): Promise<number> {
  const { lane, laneQueue, keys, of } = order;
  const owned = ownedLane(lane, laneQueue, keys);
  const [[as, by, until], nowAt] = await Promise.all([
    laneQueue.redis.hmget(owned.lease, 'as', 'by', 'until'),
    redisNow(laneQueue.redis),
  ]);
  if (!as || !by || !(Number(until) > nowAt)) {
    const text = `nobody owns lane ${quote(lane.name)} now, so nobody can adopt: take it first, with '${sayTake(lane.name)}'`;
    throw new LanekeeperError('LK_OWNED', text);
  }
  return carryOut(order, { order: 'adopt', what: 'jobs.adopted', to: { as, by } }, (moved) =>
    bringBack(owned, { adopt: of }, { moved }),
  );
}

/** They are cancelled: nothing is left of them but the journal's word. Answers how many. */
export function dropDisplaced(order: DisplacedOrder): Promise<number> {
  const { laneQueue, keys } = order;
  return carryOut(order, { order: 'drop', what: 'jobs.dropped' }, async (moved) => {
    for await (const page of walkAside(order)) {
      crashPoint('before-aside');
      const dropped = await Promise.all(page.map((id) => cancelJob(laneQueue, keys, id).then(() => true, ifMoved)));
      crashPoint('after-aside');
      await moved(dropped.filter((isOut) => isOut).length);
    }
  });
}

/** Those that one owner left, or all of that name, lie aside as yet. */
export async function countDisplaced(left: LeftAside): Promise<number> {
  let count = 0;
  for await (const page of walkAside(left)) count += page.length;
  return count;
}

type Kind =
  | { order: 'adopt'; what: 'jobs.adopted'; to: { as: string; by: string } }
  | { order: 'drop'; what: 'jobs.dropped' };

/** Nothing is told where there is nothing to order about. */
async function carryOut(
  given: DisplacedOrder,
  { order, what, ...more }: Kind,
  work: (moved: (count: number) => Promise<void>) => Promise<unknown>,
): Promise<number> {
  const { lane, laneQueue, of, who, reason } = given;
  const total = await countDisplaced(given);
  if (total === 0) return 0;
  const operation = newOperationId(await redisNow(laneQueue.redis));
  const facts = { lane: lane.name, operation, of, reason };
  const state = { count: 0, isStopped: false };
  const toEntry = () => ({ ...facts, ...more, ...state });
  const begun = { what: 'displaced.ordered', entry: { ...facts, order, total } } as const;
  const record = await openOperation(laneQueue, { what, who, toEntry }, begun);
  try {
    await work((moved) => {
      state.count += moved;
      return record.isAlive();
    });
  } catch (error) {
    // What was done is told, if Redis still listens.
    state.isStopped = true;
    await record.end().catch(() => {});
    throw error;
  }
  await record.end();
  return state.count;
}

interface LeftAside {
  laneQueue: LaneQueue;
  keys: Keys;
  of: DisplacedOwner;
}

/** The ids of what that owner left, a page at a time; what was taken out meanwhile makes no page skip any. */
async function* walkAside({ laneQueue, keys, of }: LeftAside): AsyncGenerator<string[]> {
  const { redis, jobKey, lane } = laneQueue;
  for (let kept = 0; ; ) {
    const ids = await redis.zrange(keys.aside(lane), String(kept), String(kept + PAGE - 1));
    const fedBy = await Promise.all(ids.map((id) => redis.hget(jobKey(id), JOB_FIELDS.owner)));
    const page = ids.filter((_, place) => {
      const feeder = readFeeder(fedBy[place] ?? null);
      return feeder?.as === of.as && (of.by === null || feeder.by === of.by);
    });
    if (page.length > 0) yield page;
    if (ids.length < PAGE) return;
    const stays = await Promise.all(ids.map((id) => redis.zscore(keys.aside(lane), id)));
    kept += stays.filter((score) => score !== null).length;
  }
}

/** It came back, or somebody cancelled it, just now. */
function ifMoved(error: unknown): false {
  if (error instanceof LanekeeperError && (error.code === 'LK_STATE' || error.code === 'LK_UNKNOWN')) return false;
  throw error;
}
