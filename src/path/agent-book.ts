// For services that bring their own agents while everything runs: register them, take them away, keep one from acting, look. What
// each order may be, and what becomes of it, says path/agent-orders; an operator gives the same ones by `lanekeeper agents`.

import { Calendar } from '../store/calendar/calendar.ts';
import { connectRedis, redisDown } from '../store/connect.ts';
import { readConfig } from '../words/config.ts';
import { LanekeeperError, wrongOption } from '../words/errors.ts';
import { createKeys } from '../words/keys.ts';
import { whoami } from '../words/whoami.ts';
import { type AgentSeen, lookAtAgents } from './agent-look.ts';
import { type AgentChange, type AgentOrders, addAgent, clearAgent, markAgent, removeAgent } from './agent-orders.ts';
import { NAME_FORM, toName } from './definition.ts';
import { isUpstream, type Upstream } from './upstream.ts';

export type { AgentChange, AgentSeen };

export interface AgentBookOptions {
  upstream: Upstream | string;
  /** Default: REDIS_URL. */
  redis?: string | undefined;
  /** Default: LANEKEEPER_PREFIX, or `lk`. */
  prefix?: string | undefined;
}

export interface AgentBook {
  /** Its window is open at once, or when it was to open where it was known before. Again: only its metadata is replaced. */
  add(agent: string, meta?: unknown): Promise<AgentChange>;
  /** Jobs that wait for it stay parked, and say so, until it is back or they are cancelled; `waiting` says how many. */
  remove(agent: string): Promise<AgentChange>;
  /** It acts no sooner than this instant, for whatever lane. */
  mark(agent: string, until: Date | number | string, reason: string): Promise<AgentChange>;
  /** It may act now. */
  clear(agent: string, reason: string): Promise<AgentChange>;
  list(): Promise<AgentSeen[]>;
  close(): Promise<void>;
}

/** A service hears within 1.5 s that Redis is away, as a producer does. */
const HEAR_MS = 1_400;
const OPTIONS = ['upstream', 'redis', 'prefix'];

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
    add: (agent, meta) => ask(() => addAgent(orders, agent, meta)),
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
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  if (!isObject || Object.keys(given).some((name) => !OPTIONS.includes(name))) {
    throw wrongOption('LK_CONFIG', 'openAgents', `{ ${OPTIONS.join(', ')} }`, given);
  }
  const { upstream, redis, prefix } = given;
  for (const [name, value] of Object.entries({ redis, prefix })) {
    if (value !== undefined && typeof value !== 'string') throw wrongOption('LK_CONFIG', name, 'a text', value);
  }
  const name = isUpstream(upstream) ? upstream.name : toName(upstream);
  if (name === undefined) {
    throw wrongOption('LK_CONFIG', 'upstream', `what defineUpstream returned, or ${NAME_FORM}`, upstream);
  }
  const { REDIS_URL, LANEKEEPER_PREFIX } = process.env;
  const env = { REDIS_URL: redis ?? REDIS_URL, LANEKEEPER_PREFIX: prefix ?? LANEKEEPER_PREFIX };
  const config = readConfig(env, process.cwd());
  if (!config.redisUrl) {
    throw wrongOption('LK_CONFIG', 'redis', "an address such as 'redis://127.0.0.1:6379', or REDIS_URL", redis);
  }
  const agents = isUpstream(upstream) ? upstream.agents : [];
  return { upstream: { name, agents }, url: config.redisUrl, prefix: config.prefix };
}
