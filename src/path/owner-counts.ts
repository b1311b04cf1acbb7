// Who has each exclusive lane, and how often it changed hands: what the metrics tell. It reads and changes nothing; the counts are kept
// by the scripts that change hands, so they are the fleet's, whoever asks.

import type { Redis } from '../store/connect.ts';
import { redisNow } from '../store/redis-now.ts';
import type { Keys } from '../words/keys.ts';
import { groupAddress } from './group.ts';
import type { Lane } from './lane.ts';

/** `taken` when nobody had it, `forced` from somebody who had; both ends but those by force are told too. */
export const OWNER_CHANGES = ['taken', 'forced', 'released', 'expired'] as const;
export type OwnerChange = (typeof OWNER_CHANGES)[number];

export interface OwnerCounts {
  lane: string;
  /** As whom it is owned now; null: nobody may feed it. */
  owner: string | null;
  changes: Record<OwnerChange, number>;
}

export async function countOwners(redis: Redis, keys: Keys, lanes: Iterable<Lane>): Promise<OwnerCounts[]> {
  const exclusive = [...lanes].filter(({ ownership }) => ownership === 'exclusive');
  if (exclusive.length === 0) return [];
  const nowAt = redisNow(redis);
  return Promise.all(
    exclusive.map(async (lane) => {
      const address = groupAddress(lane);
      const fields = OWNER_CHANGES.map((how) => `${lane.name} ${how}`);
      const [[as, until], counts] = await Promise.all([
        redis.hmget(keys.owner(address), 'as', 'until'),
        redis.hmget(keys.ownerChanges(address), ...fields),
      ]);
      const changes = Object.fromEntries(OWNER_CHANGES.map((how, at) => [how, Number(counts[at] ?? 0)]));
      const isLive = Number(until ?? 0) > (await nowAt);
      return { lane: lane.name, owner: isLive ? (as ?? null) : null, changes: changes as OwnerCounts['changes'] };
    }),
  );
}
