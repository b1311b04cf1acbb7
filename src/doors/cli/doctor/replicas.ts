// What doctor checks of a Redis with replicas or Sentinels: a failover must not forget who owns a lane. A master that has lost its
// replicas goes on granting what the next master will not know of, unless it is told to refuse.

import type { RedisInfo } from '../../../store/redis-info.ts';
import { LEASE_MS } from '../../../words/owner.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Where Sentinels tell each other of the master they watch: who listens on it is one. */
export const SENTINEL_CHANNEL = '__sentinel__:hello';

/** Half a lease: a replica that is further behind may miss a whole change of owner. */
const MAX_LAG_S = LEASE_MS / 2 / 1_000;

export interface ReplicaSettings {
  /** Undefined: nobody may ask. */
  toWrite: string | undefined;
  maxLag: string | undefined;
}

export function* checkReplicas(info: RedisInfo, hasSentinel: boolean, settings: ReplicaSettings): Generator<Finding> {
  const replicas = Number(info.get('connected_slaves') ?? 0);
  if (info.get('role') === 'slave') {
    yield fail('replicas', 'this Redis is a replica: it refuses every write', 'name its master in REDIS_URL');
    return;
  }
  if (replicas === 0 && !hasSentinel) return;
  const says = `${replicas} replicas${hasSentinel ? ', watched by Sentinel' : ''}`;
  if (settings.toWrite === undefined) {
    const todo = `see to it that min-replicas-to-write is 1 or more, and min-replicas-max-lag ${MAX_LAG_S} or less`;
    yield warn('replicas', `${says}; nobody may ask this Redis for its settings`, todo);
    return;
  }
  const [toWrite, maxLag] = [Number(settings.toWrite), Number(settings.maxLag ?? 0)];
  if (toWrite < 1) {
    const todo = 'set min-replicas-to-write 1';
    yield fail('replicas', `${says}; min-replicas-to-write is 0: a failover may forget who owns a lane`, todo);
    return;
  }
  if (maxLag === 0 || maxLag > MAX_LAG_S) {
    const isOff =
      maxLag === 0 ? 'min-replicas-max-lag is 0, which switches it off' : `min-replicas-max-lag is ${maxLag} s`;
    yield fail(
      'replicas',
      `${says}; ${isOff}: a failover may forget who owns a lane`,
      `set min-replicas-max-lag ${MAX_LAG_S}`,
    );
    return;
  }
  yield ok('replicas', `${says}; writes need ${toWrite} of them, at most ${maxLag} s behind`);
}
