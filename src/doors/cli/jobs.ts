// Commands about jobs: jobs, why, cancel; add has a file of its own.

import type { Command } from 'commander';
import { alarmsOf, readAlarms } from '../../engine/alarms.ts';
import { cancelAnyJob, findCancelOrder } from '../../path/cancel-orders.ts';
import { explainJob, isJobState, listJobs } from '../../path/inspect.ts';
import { JOB_STATES } from '../../path/job-state.ts';
import { lookAtLimits } from '../../path/limit-look.ts';
import { readOwnerWait } from '../../path/owner-wait.ts';
import { readPause, sayPause } from '../../path/pause.ts';
import { toReason } from '../../path/reason.ts';
import { readWindowWait } from '../../path/window-wait.ts';
import { systemClock } from '../../words/clock.ts';
import { LanekeeperError, quote } from '../../words/errors.ts';
import { addAddCommand } from './add.ts';
import { toRow } from './job-row.ts';
import { count, laneCommand } from './options.ts';
import { hint, paint, printable, say, sayFacts, sayJson, sayTable, when } from './print.ts';
import { openSession } from './session.ts';

export function addJobCommands(program: Command): void {
  addAddCommand(program);

  laneCommand(program, 'jobs', 'list the jobs of a lane')
    .option('--state <state>', `only these: ${JOB_STATES.join(', ')}`)
    .option('--limit <n>', 'at the most so many', count('limit'), 20)
    .action(async (laneName: string, options: { dir: string; json?: boolean; state?: string; limit: number }) => {
      const { state } = options;
      if (state !== undefined && !isJobState(state)) {
        throw new LanekeeperError('LK_INPUT', `--state: expected one of ${JOB_STATES.join(', ')}, got ${quote(state)}`);
      }
      await using session = await openSession(options);
      const laneQueue = session.queue(session.lane(laneName));
      const jobs = await listJobs(laneQueue, state === undefined ? JOB_STATES : [state], options.limit);
      if (options.json) return sayJson(jobs);
      if (jobs.length === 0) return hint(`no ${state ?? ''} jobs in ${laneName}`.replace('  ', ' '));
      sayTable(['ID', 'STATE', 'AGENT', 'ATTEMPT', 'SINCE', 'UNTIL', 'PAYLOAD'], jobs.map(toRow));
      if (jobs.length === options.limit) hint(`at the most ${options.limit} are shown: --limit shows more`);
    });

  laneCommand(program, 'why', 'say why a job is where it is, and until when')
    .argument('<id>', 'the job')
    .action(async (laneName: string, id: string, options: { dir: string; json?: boolean }) => {
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const { redis, keys } = session;
      const laneQueue = session.queue(lane);
      const why = await explainJob(laneQueue, lane, id, (await session.pods(lane)).length, async (job) => ({
        pause: await readPause(laneQueue, keys),
        cancel: await findCancelOrder(redis, keys, job),
        alarms: alarmsOf(await readAlarms(redis, keys), lane.name, systemClock.now()),
        ...((job.state === 'waiting' || job.gate === 'limit') && lane.upstream?.limits
          ? { limits: await lookAtLimits(redis, keys, lane.upstream, job.agent) }
          : {}),
        ...(job.gate === 'owner' ? { owner: await readOwnerWait(laneQueue, keys, lane, id) } : {}),
        ...(job.gate === 'cooldown' ? { window: await readWindowWait(laneQueue, keys, id) } : {}),
      }));
      if (options.json) return sayJson(why);
      const nowAt = systemClock.now();
      sayFacts([
        ['job', `${why.lane} ${why.job}`],
        ['state', paint('bold', why.state)],
        ['gate', why.gate],
        ['since', when(why.sinceAt, nowAt)],
        ['until', when(why.untilAt, nowAt)],
        ['place', why.place],
        ['because', why.because],
        ['lane', why.pause === undefined || why.gate === 'pause' ? null : sayPause(why.pause)],
        ['cancel', why.cancel ? `ordered by ${why.cancel.who}: ${why.cancel.reason ?? 'no reason given'}` : null],
        ['alarm', why.alarms?.join('\n')],
      ]);
    });

  laneCommand(program, 'cancel', 'take a job out of its lane, also while it runs')
    .argument('<id>', 'the job')
    .option('--reason <text>', 'why, for the journal', toReason)
    .action(async (laneName: string, id: string, options: { dir: string; json?: boolean; reason?: string }) => {
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const { reason: why = null } = options;
      const { keys, who } = session;
      const laneQueue = session.queue(lane);
      const { job } = await cancelAnyJob({ laneQueue, keys, id, who, reason: why, clock: systemClock });
      if (options.json) return sayJson({ lane: lane.name, id, state: 'cancelled', before: job.state });
      say(`cancelled ${printable(id)} of ${lane.name}, which was ${job.state}`);
    });
}
