// What a pod does about the owners of its exclusive lanes: makes the lanes known to them, tells when a term has run out, and, when an
// owner was displaced, stops its attempts and moves aside what waits. A pod without such lanes does nothing.

import type { Attempt } from '../path/attempt.ts';
import type { Lane } from '../path/lane.ts';
import type { Redis } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import type { Notices } from '../store/notices.ts';
import type { EventHub } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';
import { createAsideMover } from './aside.ts';
import { createDisplacedWatch } from './displaced.ts';
import { createOwnerWatch } from './owner-watch.ts';

export interface OwnersOptions {
  pod: string;
  redis: Redis;
  keys: Keys;
  notices: Notices;
  events: EventHub;
  attempts: ReadonlySet<Attempt>;
  lanes: readonly { lane: Lane; laneQueue: LaneQueue }[];
}

export interface Owners {
  start(): void;
  stop(): Promise<unknown>;
}

export function createOwners({ attempts, lanes: all, ...shared }: OwnersOptions): Owners {
  const lanes = all.filter(({ lane }) => lane.ownership === 'exclusive');
  if (lanes.length === 0) return { start() {}, stop: async () => {} };
  const watch = createOwnerWatch({ ...shared, lanes: lanes.map(({ lane }) => lane) });
  const beats = [watch, createDisplacedWatch({ ...shared, attempts, lanes }), createAsideMover({ ...shared, lanes })];
  return {
    start() {
      for (const beat of beats) beat.start();
      void watch.once();
    },
    stop: () => Promise.all(beats.map((beat) => beat.stop())),
  };
}
