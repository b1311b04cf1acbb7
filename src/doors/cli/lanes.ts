// Commands about lanes: lanes; dead has a file of its own.

import type { Command } from 'commander';
import { countJobs } from '../../path/inspect.ts';
import { addDeadCommand } from './dead.ts';
import { dirCommand } from './options.ts';
import { hint, sayJson, sayTable } from './print.ts';
import { openSession } from './session.ts';

export function addLaneCommands(program: Command): void {
  dirCommand(program, 'lanes', 'show every lane: its jobs by state and the pods that run it').action(
    async (options: { dir: string; json?: boolean }) => {
      await using session = await openSession(options);
      const pods = await session.pods();
      const lanes = await Promise.all(
        [...session.definitions.lanes.values()].map(async (lane) => {
          const { isPaused, ...counts } = await countJobs(session.queue(lane));
          const runBy = pods.filter((pod) => pod.lanes.includes(lane.name)).map(({ pod }) => pod);
          return {
            lane: lane.name,
            upstream: lane.upstream?.name ?? null,
            isPaused,
            ...counts,
            concurrency: lane.concurrency,
            pods: runBy,
          };
        }),
      );
      if (options.json) return sayJson(lanes);
      sayTable(
        ['LANE', 'UPSTREAM', 'WAITING', 'DELAYED', 'ACTIVE', 'DONE', 'DEAD', 'PODS'],
        lanes.map((l) => [
          l.isPaused ? `${l.lane} (paused)` : l.lane,
          l.upstream,
          l.waiting,
          l.delayed,
          l.active,
          l.done,
          l.dead,
          l.pods.length,
        ]),
      );
      if (pods.length === 0) hint("no pod runs: start one with 'lanekeeper worker'");
    },
  );

  addDeadCommand(program);
}
