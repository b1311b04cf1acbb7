// The permit desks of a pod: one for each upstream with limits that its lanes name.

import type { Lane } from '../path/lane.ts';
import type { LaneDesk } from '../path/lane-desk.ts';
import { PermitDesk } from '../path/permit-desk.ts';
import type { Redis } from '../store/connect.ts';
import { openScriptDriver } from '../store/limit-scripts.ts';
import type { Notices } from '../store/notices.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';

export interface PermitsOptions {
  pod: string;
  redis: Redis;
  notices: Notices;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

export interface Permits {
  /** Undefined: the lane's upstream has no limits. */
  deskOf(lane: Lane): LaneDesk | undefined;
  stop(): Promise<unknown>;
}

export function createPermits({ pod, redis, notices, keys, clock, events }: PermitsOptions): Permits {
  const desks = new Map<string, PermitDesk>();

  function open(upstream: NonNullable<Lane['upstream']>): PermitDesk | undefined {
    const plan = upstream.limits;
    if (!plan?.limits.some(({ kind, byAgent }) => kind !== 'tokens' && !byAgent)) return undefined;
    const { name } = upstream;
    const driver = openScriptDriver({
      redis,
      notices,
      keys,
      tag: name,
      pod,
      plan,
      onLost: (forMs) =>
        events.emit('limit.lost', { upstream: name, forMs, reason: 'nothing was known of what counts towards them' }),
      onDrift: (limit, sizes) => events.emit('limit.drift', { upstream: name, limit, sizes }),
    });
    return new PermitDesk({ upstream: name, driver, clock, events });
  }

  return {
    deskOf(lane) {
      if (!lane.upstream) return undefined;
      const desk = desks.get(lane.upstream.name) ?? open(lane.upstream);
      if (desk) desks.set(lane.upstream.name, desk);
      return desk?.lane(lane);
    },
    stop: () => Promise.all([...desks.values()].map((desk) => desk.stop())),
  };
}
