// An upstream with agents as pods leave it in Redis, without a pod: for whoever looks at its agents, orders them about, or asks what
// a job waits for.

import { defineLane, defineUpstream } from '../../src/index.ts';
import { type AgentsSeen, lookAtAgents } from '../../src/path/agent-look.ts';
import type { AgentOrders } from '../../src/path/agent-orders.ts';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { redisNow } from '../../src/store/redis-now.ts';
import { journalled } from '../support/journalled.ts';
import type { World } from '../support/world.ts';

export const HOUR = 3_600_000;

export async function forumOf({ redis, keys }: World, agents: readonly string[] = ['a1', 'a2', 'a10']) {
  const upstream = defineUpstream({ name: 'forum', agents });
  const publish = defineLane({ name: 'publish', upstream, agent: { cooldown: '2h' } });
  const reply = defineLane({ name: 'reply', upstream, agent: { cooldown: '10m' } });
  const calendar = new Calendar(redis, keys, 'forum', 'p1');
  const orders: AgentOrders = { calendar, redis, keys, upstream: 'forum', lanes: [], who: 'ann@desk' };
  return {
    upstream,
    publish,
    reply,
    calendar,
    orders,
    told: () => journalled({ redis, keys }, 'forum'),
    nowAt: await redisNow(redis),
    /** As its first pod does, and nobody else had anything to tell. */
    async register(lanes: Record<string, number> = { publish: 2 * HOUR, reply: 600_000 }) {
      const isLost = await calendar.register(agents, lanes, false, {});
      await redis.hdel(`${keys.upstream('forum')}agent-state`, 'closed');
      return isLost;
    },
    look: (lanes?: readonly string[]): Promise<AgentsSeen> => lookAtAgents(redis, keys, upstream, lanes),
    /** As a claim leaves it. */
    async acts(agent: string, lane: string, job: string) {
      const claimed = await redisNow(redis);
      await redis.hset(keys.agent('forum', agent), { lane, job, pod: 'p1', token: 1, claimed });
      for (const set of ['windows', 'idle']) await redis.zrem(`${keys.upstream('forum')}${set}`, agent);
      await redis.zadd(`${keys.upstream('forum')}acting`, claimed, agent);
    },
  };
}
