// An upstream whose slots and tickets lie in Redis as the scripts leave them, written by hand: for whoever looks at limits or
// changes them. What is taken with the job: test/store/own-uses.

import { defineUpstream } from '../../src/index.ts';
import { type LimitsSeen, lookAtLimits } from '../../src/path/limit-look.ts';
import type { Upstream } from '../../src/path/upstream.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { type Limit, type LimitDriverName, limitName } from '../../src/words/limit.ts';
import type { World } from '../support/world.ts';

export function limit(kind: Limit['kind'], size: number, perMs = 0, byAgent = false): Limit {
  return { name: limitName(kind, perMs, byAgent), kind, size, perMs, byAgent };
}

export const SLOTS = limit('concurrent', 3);
export const COUNT = limit('count', 60, 60_000);
export const BY_AGENT = limit('count', 2, 3_600_000, true);

export function withLimits(upstream: Upstream, ...limits: Limit[]): Upstream {
  const plan = { driver: 'scripts', limits, travelMs: 100 } as const;
  // Its brand is not enumerable, and stays with the copy.
  return Object.defineProperties({} as Upstream, {
    ...Object.getOwnPropertyDescriptors(upstream),
    limits: { value: plan, enumerable: true },
  });
}

export interface Limited {
  upstream: Upstream;
  nowAt: number;
  look(agent?: string | null): Promise<LimitsSeen>;
  /** A pod says its definition; the strictest of all that were said is agreed upon. */
  say(pod: string, limits: Limit[], agoMs?: number, driver?: LimitDriverName): Promise<void>;
  /** Slots by '<lane>|<pod>', that end in so many ms. */
  hold(holders: Record<string, number>, forMs?: number): Promise<void>;
  /** Tickets by lane, that stop to count in so many ms. */
  use(limit: string, lanes: Record<string, number>, forMs?: number): Promise<void>;
  wait(member: string, agoMs: number, want?: number, forMs?: number): Promise<void>;
  set(fields: Record<string, string | number>): Promise<void>;
}

export async function limitedUpstream(
  { redis, keys }: World,
  upstream = defineUpstream({ name: 'forum' }),
): Promise<Limited> {
  const tag = upstream.name;
  const nowAt = await redisNow(redis);
  const agreed = new Map<string, number>();
  let members = 0;
  const set = async (fields: Record<string, string | number>) => void (await redis.hset(keys.limits(tag), fields));
  const count = async (use: string, lane: string, number: number) => {
    await redis.hincrby(keys.limits(tag), `used:${use}`, number);
    await redis.hincrby(keys.limits(tag), `used:${use}|${lane}`, number);
  };
  return {
    upstream,
    nowAt,
    set,
    look: (agent) => lookAtLimits(redis, keys, upstream, agent),
    async say(pod, limits, agoMs = 0, driver = 'scripts') {
      const said = JSON.stringify({ at: nowAt - agoMs, driver, limits });
      await redis.hset(keys.limitDefinitions(tag), `def:${pod}`, said);
      for (const { name, kind, size, perMs, byAgent } of limits) {
        agreed.set(name, Math.min(size, agreed.get(name) ?? size));
        await set({ [`lim:${name}`]: `${kind} ${agreed.get(name)} ${perMs} ${byAgent ? 1 : 0}` });
      }
    },
    async hold(holders, forMs = 3_600_000) {
      for (const [holder, slots] of Object.entries(holders)) {
        await count('concurrent', holder.split('|')[0] as string, slots);
        for (let slot = 0; slot < slots; slot++)
          await redis.zadd(keys.limitUses(tag, 'concurrent'), nowAt + forMs, `${holder}|${++members}`);
      }
    },
    async use(use, lanes, forMs = 3_600_000) {
      for (const [lane, tickets] of Object.entries(lanes)) {
        const member = `${lane}|${++members}`;
        await count(use, lane, tickets);
        await redis.zadd(keys.limitUses(tag, use), nowAt + forMs, member);
        await set({ [`n:${use}|${member}`]: tickets });
      }
    },
    async wait(member, agoMs, want = 1, forMs = 3_600_000) {
      await redis.zadd(keys.limitWaiting(tag), nowAt - agoMs, member);
      await set({ [`want:${member}`]: `${want} 0 1 ${nowAt + forMs} 0 0 0` });
    },
  };
}
