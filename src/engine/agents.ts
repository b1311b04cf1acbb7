// The agent desks of a pod: one for each upstream of which a lane of its acts as agents.

import { AgentDesk, type AgentLane } from '../path/agent-desk.ts';
import type { Lane } from '../path/lane.ts';
import { Calendar } from '../store/calendar/calendar.ts';
import type { Redis } from '../store/connect.ts';
import type { Notices } from '../store/notices.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';

export interface AgentsOptions {
  pod: string;
  redis: Redis;
  notices: Notices;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

export interface Agents {
  /** Undefined: its jobs act as nobody. */
  laneOf(lane: Lane): AgentLane | undefined;
  start(): void;
  stop(): Promise<unknown>;
}

export function createAgents({ pod, redis, notices, keys, clock, events }: AgentsOptions): Agents {
  const desks = new Map<string, AgentDesk>();

  function open({ name, agents }: NonNullable<Lane['upstream']>): AgentDesk {
    const calendar = new Calendar(redis, keys, name, pod);
    const desk = new AgentDesk({ upstream: name, agents, calendar, clock, events });
    notices.on(keys.agentNotice(name), () => desk.look());
    return desk;
  }

  return {
    laneOf({ name, agent, upstream }) {
      if (!agent || !upstream) return undefined;
      const desk = desks.get(upstream.name) ?? open(upstream);
      desks.set(upstream.name, desk);
      return desk.lane({ name, cooldownMs: agent.cooldownMs });
    },
    start() {
      for (const desk of desks.values()) desk.start();
    },
    stop: () => Promise.all([...desks.values()].map((desk) => desk.stop())),
  };
}
