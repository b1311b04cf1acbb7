// For services that bring their own agents while everything runs: register them, take them away, keep one from acting, look. What
// each order may be, and what becomes of it, says path/agent-orders; an operator gives the same ones by `lanekeeper agents`.

import { Calendar } from '../store/calendar/calendar.ts';
import { connectRedis, redisDown } from '../store/connect.ts';
import { LanekeeperError, wrongOption } from '../words/errors.ts';
import { createKeys } from '../words/keys.ts';
import { whoami } from '../words/whoami.ts';
import { type AgentSeen, lookAtAgents } from './agent-look.ts';
import { type AgentChange, type AgentOrders, addAgent, clearAgent, markAgent, removeAgent } from './agent-orders.ts';
import { NAME_FORM, toName } from './definition.ts';
import { type DoorOptions, findRedis, HEAR_MS, readDoor } from './door-options.ts';
import { isUpstream, type Upstream } from './upstream.ts';

export type { AgentChange, AgentSeen };

export interface AgentBookOptions extends DoorOptions {
  upstream: Upstream | string;
}

export interface AgentBook {
  /**
   * Its window is open at once, or when it was to open where it was known before. Again it is a sign of life, and replaces its metadata. With a
   * heartbeat ('30s') it is to be added again within it: else nobody acts as it until it is.
   */
  add(agent: string, meta?: unknown, promise?: { heartbeat?: string }): Promise<AgentChange>;
  /** Jobs that wait for it stay parked, and say so, until it is back or they are cancelled; `waiting` says how many. */
  remove(agent: string): Promise<AgentChange>;
  /** It acts no sooner than this instant, or after so long ('2h'), for whatever lane; later if its window opens later. */
  mark(agent: string, until: Date | number | string, reason: string): Promise<AgentChange>;
  /** It may act now. */
  clear(agent: string, reason: string): Promise<AgentChange>;
  list(): Promise<AgentSeen[]>;
  close(): Promise<void>;
}

export async function openAgents(options: AgentBookOptions): Promise<AgentBook> {
  const { upstream, url, prefix } = readOptions(options);
  const redis = await connectRedis(url, 'producer', HEAR_MS);
  const keys = createKeys(prefix);
  const who = whoami();
  const calendar = new Calendar(redis, keys, upstream.name, who);
  const orders: AgentOrders = { calendar, redis, keys, upstream: upstream.name, lanes: [], who };

  async function ask<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (thrown) {
      throw thrown instanceof LanekeeperError ? thrown : redisDown(url, thrown);
    }
  }

  return {
    add: (agent, meta, promise) => ask(() => addAgent(orders, agent, meta, null, promise)),
    remove: (agent) => ask(() => removeAgent(orders, agent)),
    mark: (agent, until, reason) => ask(() => markAgent(orders, agent, until, reason)),
    clear: (agent, reason) => ask(() => clearAgent(orders, agent, reason)),
    list: () => ask(async () => (await lookAtAgents(redis, keys, upstream)).agents),
    async close() {
      redis.disconnect();
    },
  };
}

function readOptions(given: AgentBookOptions): {
  upstream: Pick<Upstream, 'name' | 'agents'>;
  url: string;
  prefix: string;
} {
  const options = readDoor('openAgents', given, ['upstream']);
  const { upstream } = options;
  const name = isUpstream(upstream) ? upstream.name : toName(upstream);
  if (name === undefined) {
    throw wrongOption('LK_CONFIG', 'upstream', `what defineUpstream returned, or ${NAME_FORM}`, upstream);
  }
  const agents = isUpstream(upstream) ? upstream.agents : [];
  const { redisUrl: url, prefix } = findRedis(options);
  return { upstream: { name, agents }, url, prefix };
}
