// Commands about lanes: lanes; dead has a file of its own.

import type { Command } from 'commander';
import { alarmsOf, readAlarms } from '../../engine/alarms.ts';
import { countJobs, type LaneCounts } from '../../path/inspect.ts';
import type { Lane } from '../../path/lane.ts';
import { lookAtOwner, type OwnerLooked } from '../../path/owner-orders.ts';
import { type PauseSeen, readPause, sayPause } from '../../path/pause.ts';
import { systemClock } from '../../words/clock.ts';
import { GATES } from '../../words/outcome.ts';
import { sayOwner } from '../../words/owner.ts';
import { addDeadCommand } from './dead.ts';
import { dirCommand } from './options.ts';
import { hint, sayJson, sayTable, when } from './print.ts';
import { openSession, type Session } from './session.ts';

export function addLaneCommands(program: Command): void {
  dirCommand(program, 'lanes', 'show every lane: its jobs by state and the pods that run it').action(
    async (options: { dir: string; json?: boolean }) => {
      await using session = await openSession(options);
      const { redis, keys } = session;
      const [pods, alarms] = await Promise.all([session.pods(), readAlarms(redis, keys)]);
      const lanes = await Promise.all(
        [...session.definitions.lanes.values()].map(async (lane) => {
          const laneQueue = session.queue(lane);
          const [{ isPaused, ...counts }, pause, owner] = await Promise.all([
            countJobs(laneQueue),
            readPause(laneQueue, keys),
            readOwner(session, lane),
          ]);
          const runBy = pods.filter((pod) => pod.lanes.includes(lane.name)).map(({ pod }) => pod);
          return {
            lane: lane.name,
            upstream: lane.upstream?.name ?? null,
            isPaused,
            pause,
            ownership: lane.ownership,
            owner,
            alarms: alarmsOf(alarms, lane.name, systemClock.now()),
            ...counts,
            concurrency: lane.concurrency,
            pods: runBy,
          };
        }),
      );
      if (options.json) return sayJson(lanes);
      sayTable(
        ['LANE', 'UPSTREAM', 'WAITING', 'PARKED', 'SCHEDULED', 'ACTIVE', 'DONE', 'DEAD', 'PODS', 'NOTE'],
        lanes.map((l) => [
          l.isPaused ? `${l.lane} (paused)` : l.lane,
          l.upstream,
          l.waiting,
          sayParked(l),
          l.scheduled,
          l.active,
          l.done,
          l.dead,
          l.pods.length,
          toNote(l),
        ]),
      );
      if (pods.length === 0) hint("no pod runs: start one with 'lanekeeper worker'");
    },
  );

  addDeadCommand(program);
}

/** '5 (cooldown 3, limit 2)'. */
function sayParked({ parked, gates }: Pick<LaneCounts, 'parked' | 'gates'>): string | number {
  const at = GATES.filter((gate) => gates[gate] > 0).map((gate) => `${gate} ${gates[gate]}`);
  return at.length === 0 ? parked : `${parked} (${at.join(', ')})`;
}

/** Null: nobody may feed it now, or everybody may. */
async function readOwner({ locks, definitions }: Session, lane: Lane): Promise<OwnerLooked['owner']> {
  if (lane.ownership !== 'exclusive') return null;
  return (await lookAtOwner({ locks, lane, lanes: definitions.lanes.values() })).owner;
}

interface Noted {
  pause: PauseSeen | undefined;
  ownership: Lane['ownership'];
  owner: OwnerLooked['owner'];
  alarms: string[];
}

function toNote({ pause, ownership, owner, alarms }: Noted): string | null {
  const notes = pause === undefined ? [...alarms] : [sayPause(pause), ...alarms];
  if (owner) notes.push(`owned by ${sayOwner(owner)} until ${when(owner.untilAt, systemClock.now())}`);
  else if (ownership === 'exclusive') notes.push('owned by nobody');
  return notes.join('; ') || null;
}
