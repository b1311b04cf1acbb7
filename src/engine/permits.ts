// The permit desks of a pod: one for each upstream with limits that its lanes name.

import type { PayloadGate } from '../path/admission.ts';
import type { Lane } from '../path/lane.ts';
import type { LaneDesk } from '../path/lane-desk.ts';
import { OwnDesk } from '../path/own-desk.ts';
import { createOwnLimits } from '../path/own-limits.ts';
import { PermitDesk } from '../path/permit-desk.ts';
import type { Redis } from '../store/connect.ts';
import { openBottleneckDriver } from '../store/limit-bottleneck.ts';
import type { LimitsShut } from '../store/limit-driver.ts';
import { openScriptDriver } from '../store/limit-scripts.ts';
import type { Notices } from '../store/notices.ts';
import { openOwnLimits } from '../store/own-limit-scripts.ts';
import type { Differ } from '../store/scripts/register-limits.ts';
import type { Clock } from '../words/clock.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';

export interface PermitsOptions {
  pod: string;
  redis: Redis;
  redisUrl: string;
  notices: Notices;
  keys: Keys;
  clock: Clock;
  events: EventHub;
}

export interface Permits {
  /** Undefined: the lane's upstream has no limits. */
  deskOf(lane: Lane): LaneDesk | undefined;
  /** For what only a job decides: tokens, and limits of its agent. */
  gate: PayloadGate;
  stop(): Promise<unknown>;
}

export function createPermits({ pod, redis, redisUrl, notices, keys, clock, events }: PermitsOptions): Permits {
  const desks = new Map<string, { permits: PermitDesk; own: OwnDesk | undefined }>();

  function open({ name, limits: plan }: NonNullable<Lane['upstream']>) {
    if (!plan) return undefined;
    const onDrift = (differ: Differ) => events.emit('limit.drift', { upstream: name, ...differ });
    const onShut = ({ isLost, ...shut }: LimitsShut) => {
      if (isLost) events.emit('limit.lost', { upstream: name, ...shut });
      else events.emit('limit.begun', { upstream: name, ...shut });
    };
    const shared = { keys, tag: name, pod, plan, onDrift, onShut };
    if (plan.driver === 'bottleneck') {
      const onError = (error: Error) =>
        events.emit('redis.failing', { what: `limit ${name} with bottleneck`, reason: error.message });
      const driver = openBottleneckDriver({ ...shared, redisUrl, clock, onError });
      return { permits: new PermitDesk({ upstream: name, driver, clock, events }), own: undefined };
    }
    const driver = openScriptDriver({ ...shared, redis, notices });
    const permits = new PermitDesk({ upstream: name, driver, clock, events });
    const own = openOwnLimits({ redis, keys, tag: name, driver });
    return { permits, own: new OwnDesk({ pod, own, shut: (forMs) => permits.shut(forMs), clock, events }) };
  }

  return {
    // Also where all limits are of agents or tokens: whoever was told to wait is held there, and requests take their turns.
    deskOf(lane) {
      if (!lane.upstream) return undefined;
      const desk = desks.get(lane.upstream.name) ?? open(lane.upstream);
      if (desk) desks.set(lane.upstream.name, desk);
      return desk?.permits.lane(lane);
    },
    gate: createOwnLimits((lane) => desks.get(lane.tag)?.own),
    async stop() {
      // What attempts held goes back before their pod's definition does.
      await Promise.all([...desks.values()].map(({ own }) => own?.stop()));
      await Promise.all([...desks.values()].map(({ permits }) => permits.stop()));
    },
  };
}
