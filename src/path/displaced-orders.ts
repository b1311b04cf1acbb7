// What an operator may order about the jobs that displaced owners left: adopt them, for whoever holds the lane now, or drop them. The
// order stands in the journal before anything is moved, and what came of it after.

import { randomBytes } from 'node:crypto';
import type { LaneQueue } from '../store/lane-queue.ts';
import { redisNow } from '../store/redis-now.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { EventName, Events } from '../words/events.ts';
import { JOB_FIELDS, type Keys } from '../words/keys.ts';
import { bringBack, ownedLane } from './aside.ts';
import { cancelJob } from './cancel.ts';
import { toName } from './definition.ts';
import type { Lane } from './lane.ts';
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
  reason: string;
  /** Writes to the journal and resolves when it stands. */
  append: <N extends EventName>(what: N, data: Events[N]) => Promise<void>;
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
  const { lane, laneQueue, keys, of, append } = order;
  const owned = ownedLane(lane, laneQueue, keys);
  const [[as, by, until], nowAt] = await Promise.all([
    laneQueue.redis.hmget(owned.lease, 'as', 'by', 'until'),
    redisNow(laneQueue.redis),
  ]);
  if (!as || !by || !(Number(until) > nowAt)) {
    const text = `nobody owns lane ${quote(lane.name)} now, so nobody can adopt: take it first, with '${sayTake(lane.name)}'`;
    throw new LanekeeperError('LK_OWNED', text);
  }
  const facts = await begin(order, 'adopt');
  if (!facts) return 0;
  const count = await bringBack(owned, { adopt: of });
  await append('jobs.adopted', { ...facts, count, to: { as, by } });
  return count;
}

/** They are cancelled: nothing is left of them but the journal's word. Answers how many. */
export async function dropDisplaced(order: DisplacedOrder): Promise<number> {
  const facts = await begin(order, 'drop');
  if (!facts) return 0;
  const { laneQueue, keys, append } = order;
  let count = 0;
  for await (const page of walkAside(order)) {
    const dropped = await Promise.all(page.map((id) => cancelJob(laneQueue, keys, id).then(() => true, ifMoved)));
    count += dropped.filter((isOut) => isOut).length;
  }
  await append('jobs.dropped', { ...facts, count });
  return count;
}

/** Undefined: there is nothing to order about. */
async function begin(order: DisplacedOrder, what: 'adopt' | 'drop') {
  const { lane, laneQueue, of, reason, append } = order;
  let total = 0;
  for await (const page of walkAside(order)) total += page.length;
  if (total === 0) return undefined;
  const nowAt = await redisNow(laneQueue.redis);
  const operation = `o_${nowAt.toString(16).padStart(12, '0')}${randomBytes(4).toString('hex')}`;
  const facts = { lane: lane.name, operation, of, reason };
  await append('displaced.ordered', { ...facts, order: what, total });
  return facts;
}

/** The ids of what that owner left, a page at a time; what was taken out meanwhile makes no page skip any. */
async function* walkAside({ lane, laneQueue, keys, of }: DisplacedOrder): AsyncGenerator<string[]> {
  const { redis, jobKey } = laneQueue;
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
