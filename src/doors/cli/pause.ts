// The commands `pause` and `resume`.

import type { Command } from 'commander';
import { pauseLane, resumeLane, sayPause } from '../../path/pause.ts';
import { toReason } from '../../path/reason.ts';
import { systemClock } from '../../words/clock.ts';
import { laneCommand } from './options.ts';
import { hint, say, sayJson } from './print.ts';
import { openSession } from './session.ts';

interface OrderOptions {
  dir: string;
  json?: boolean;
  reason?: string;
}

export function addPauseCommands(program: Command): void {
  laneCommand(program, 'pause', 'let no pod fetch from a lane; what runs goes on, what comes waits')
    .option('--reason <text>', 'why, for the journal and for whoever asks', toReason)
    .action(async (laneName: string, options: OrderOptions) => {
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const { reason = null } = options;
      const pause = { who: session.who, reason, sinceAt: systemClock.now() };
      const { already } = await pauseLane(session.queue(lane), session.keys, pause);
      if (options.json)
        return sayJson({
          lane: lane.name,
          isPaused: true,
          isNew: already === undefined,
          pause: already === undefined ? pause : already,
        });
      if (already === undefined) say(`paused ${lane.name}: what runs goes on, what comes waits`);
      else hint(`${lane.name}: nothing changed: ${sayPause(already)}`);
    });

  laneCommand(program, 'resume', 'let the pods fetch again from a paused lane')
    .option('--reason <text>', 'why, for the journal', toReason)
    .action(async (laneName: string, options: OrderOptions) => {
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const { reason = null } = options;
      const was = await resumeLane(session.queue(lane), session.keys, { who: session.who, reason });
      if (options.json)
        return sayJson({ lane: lane.name, isPaused: false, isNew: was !== undefined, was: was ?? null });
      if (was === undefined) hint(`${lane.name}: nothing changed: the lane was not paused`);
      else say(`resumed ${lane.name}: ${sayPause(was).replace('is paused', 'was paused')}`);
    });
}
