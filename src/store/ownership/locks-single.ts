// The Redis of the jobs decides alone who owns a lane. Where it has replicas, a lease that none of them has may be forgotten by the
// next failover: then nobody is let in.

import { randomBytes } from 'node:crypto';
import { LanekeeperError } from '../../words/errors.ts';
import type { Keys } from '../../words/keys.ts';
import type { OwnerGroup } from '../../words/owner.ts';
import type { Redis } from '../connect.ts';
import { readInfo } from '../redis-info.ts';
import type { OwnerLocks, TakeReply } from './owner-locks.ts';
import { OwnerRecord } from './owner-record.ts';

/** A replica that is so far behind would miss more than a lease, too. */
const REPLICA_WAIT_MS = 100;

export function createSingleLocks({ redis, keys }: { redis: Redis; keys: Keys }): OwnerLocks {
  const record = new OwnerRecord({ redis, keys });
  return {
    async take(group, ask) {
      const id = newAskId();
      const reply = await record.take(group, { ...ask, ask: id });
      if (reply.kind !== 'granted') return reply as TakeReply;
      await confirm(redis, group, () =>
        record.release(group, { as: ask.as, by: ask.by, ask: id, why: 'no replica has it: it was not granted' }),
      );
      return reply;
    },
    renew: (group, claim, termMs) => record.renew(group, claim, termMs),
    release: (group, ask) => record.release(group, ask),
    look: (group) => record.look(group),
    close() {},
  };
}

/** Names one call of `take`, so that it can be undone without knowing whether it got through. */
export function newAskId(): string {
  return randomBytes(9).toString('base64url');
}

/** Throws after `undo` where this Redis has replicas and none of them has what was written before. */
export async function confirm(redis: Redis, group: OwnerGroup, undo: () => Promise<unknown>): Promise<void> {
  const replicas = Number((await readInfo(redis, 'replication')).get('connected_slaves') ?? 0);
  if (replicas === 0) return;
  const confirmed = await redis.wait(1, REPLICA_WAIT_MS);
  if (confirmed >= 1) return;
  await undo();
  const count = replicas === 1 ? 'its replica' : `any of its ${replicas} replicas`;
  throw new LanekeeperError(
    'LK_LOCKS_DOWN',
    `${group.lane}: not taken: expected ${count} to have it within ${REPLICA_WAIT_MS} ms, got none: after a failover nobody would know; ` +
      'try again when the replica has caught up',
  );
}
