// Commands about lanes: lanes; dead has a file of its own.

import type { Command } from 'commander';
import { alarmsOf, readAlarms } from '../../engine/alarms.ts';
import { countJobs } from '../../path/inspect.ts';
import { readPause, sayPause } from '../../path/pause.ts';
import { systemClock } from '../../words/clock.ts';
import { addDeadCommand } from './dead.ts';
import { dirCommand } from './options.ts';
import { hint, sayJson, sayTable } from './print.ts';
import { openSession } from './session.ts';

export function addLaneCommands(program: Command): void {
  dirCommand(program, 'lanes', 'show every lane: its jobs by state and the pods that run it').action(
    async (options: { dir: string; json?: boolean }) => {
      await using session = await openSession(options);
      const { redis, keys } = session;
      const [pods, alarms] = await Promise.all([session.pods(), readAlarms(redis, keys)]);
      const lanes = await Promise.all(
        [...session.definitions.lanes.values()].map(async (lane) => {
          const laneQueue = session.queue(lane);
          const [{ isPaused, ...counts }, pause] = await Promise.all([
            countJobs(laneQueue),
            readPause(laneQueue, keys),
          ]);
          const runBy = pods.filter((pod) => pod.lanes.includes(lane.name)).map(({ pod }) => pod);
          return {
            lane: lane.name,
            upstream: lane.upstream?.name ?? null,
            isPaused,
            pause,
            alarms: alarmsOf(alarms, lane.name, systemClock.now()),
            ...counts,
            concurrency: lane.concurrency,
            pods: runBy,
          };
        }),
      );
      if (options.json) return sayJson(lanes);
      sayTable(
        ['LANE', 'UPSTREAM', 'WAITING', 'DELAYED', 'ACTIVE', 'DONE', 'DEAD', 'PODS', 'NOTE'],
        lanes.map((l) => [
          l.isPaused ? `${l.lane} (paused)` : l.lane,
          l.upstream,
          l.waiting,
          l.delayed,
          l.active,
          l.done,
          l.dead,
          l.pods.length,
          [...(l.pause === undefined ? [] : [sayPause(l.pause)]), ...l.alarms].join('; ') || null,
        ]),
      );
      if (pods.length === 0) hint("no pod runs: start one with 'lanekeeper worker'");
    },
  );

  addDeadCommand(program);
}
