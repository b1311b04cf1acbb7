// Commands about lanes: lanes, dead.

import { Argument, type Command } from 'commander';
import { listDead, replayDead, showDead } from '../../path/dead-letters.ts';
import { countJobs, type JobView } from '../../path/inspect.ts';
import { systemClock, toInstant } from '../../words/clock.ts';
import { LanekeeperError } from '../../words/errors.ts';
import { count, dirCommand, laneCommand, reason } from './options.ts';
import { hint, printable, say, sayFacts, sayJson, sayTable, when } from './print.ts';
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

  laneCommand(program, 'dead', 'look at the dead letters of a lane, or replay one')
    .addArgument(new Argument('[action]', 'what to do').choices(['list', 'show', 'replay']).default('list'))
    .argument('[id]', 'the job, for show and replay')
    .option('--limit <n>', 'list at the most so many', count, 20)
    .option('--reason <text>', 'why, for the journal', reason)
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper dead publish\n  $ lanekeeper dead publish show j_…\n  $ lanekeeper dead publish replay j_… --reason "login mended"\n',
    )
    .action(async (laneName: string, action: string, id: string | undefined, options: DeadOptions, self: Command) => {
      if (action !== 'list' && id === undefined)
        self.error(`error: 'dead ${laneName} ${action}' needs the id of a job`, { exitCode: 2 });
      await using session = await openSession(options);
      const lane = session.lane(laneName);
      const laneQueue = session.queue(lane);
      if (action === 'list') {
        const letters = await listDead(laneQueue, options.limit);
        if (options.json) return sayJson(letters);
        if (letters.length === 0) return hint(`no dead letters in ${laneName}`);
        return sayLetters(letters);
      }
      if (id === undefined) throw new LanekeeperError('LK_USAGE', 'an id is missing');
      if (action === 'show') {
        const letter = await showDead(laneQueue, id);
        return options.json ? sayJson(letter) : sayLetter(letter, lane.runbook);
      }
      const letter = await replayDead(laneQueue, id);
      const { reason: why = null } = options;
      await session.append('job.replayed', { lane: lane.name, job: id, reason: why, class: letter.class });
      if (options.json) return sayJson({ lane: lane.name, id, state: 'waiting', class: letter.class });
      say(`replayed ${printable(id)} of ${lane.name}: it waits again with all its attempts`);
    });
}

interface DeadOptions {
  dir: string;
  json?: boolean;
  limit: number;
  reason?: string;
}

function sayLetters(letters: JobView[]): void {
  const nowAt = systemClock.now();
  sayTable(
    ['ID', 'CLASS', 'DIED', 'ATTEMPTS', 'AGENT', 'REASON'],
    letters.map((l) => [l.id, l.class, when(l.finishedAt, nowAt), l.attempt, l.agent, l.reason]),
  );
}

function sayLetter(letter: JobView, runbook: string | undefined): void {
  sayFacts([
    ['job', `${letter.lane} ${letter.id}`],
    ['class', letter.class],
    ['reason', letter.reason],
    ['died', when(letter.finishedAt, systemClock.now())],
    ['added', toInstant(letter.enqueuedAt)],
    ['agent', letter.agent],
    ['key', letter.key],
    ['payload', JSON.stringify(letter.payload, null, 2)],
    ['runbook', runbook],
    ...letter.stacks.map((stack): [string, string] => [
      `attempt ${stack.attempt}`,
      `${stack.class} on ${stack.pod} at ${toInstant(stack.at)}\n${stack.trace}`,
    ]),
  ]);
}
