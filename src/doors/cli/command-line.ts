// The command line as a function: every command, and how a call of it ends. `main.ts` gives it what was typed.

import { Command, CommanderError } from 'commander';
import { LanekeeperError, toError } from '../../words/errors.ts';
import { addAgentsCommand } from './agents.ts';
import { addDoctorCommand } from './doctor/doctor.ts';
import { addJobCommands } from './jobs.ts';
import { addLaneCommands } from './lanes.ts';
import { addLimitsCommand } from './limits.ts';
import { addNoteCommand } from './note.ts';
import { addOwnershipCommands } from './ownership.ts';
import { addPauseCommands } from './pause.ts';
import { paint, toOneLine } from './print.ts';
import { addRoleCommands } from './roles.ts';
import { addTimelineCommand } from './timeline.ts';

/** `entry` is the file that `up` starts its children from. */
export interface Installed {
  entry: string;
  version: string;
}

/**
 * Resolves with the exit code of what was refused or failed, else with 0: then what is still open ends by itself, with
 * `process.exitCode` if that says otherwise.
 */
export async function runCommandLine(args: readonly string[], installed: Installed): Promise<number> {
  try {
    await createProgram(installed, args[0]).parseAsync(args, { from: 'user' });
    return 0;
  } catch (thrown) {
    return fail(thrown);
  }
}

function createProgram({ entry, version }: Installed, called: string | undefined): Command {
  const sayHelp = () => {
    const command = program.commands.find((one) => one.name() === called);
    return command ? `lanekeeper ${command.name()} --help` : 'lanekeeper --help';
  };
  const program = new Command('lanekeeper')
    .description('A Redis-backed job engine for fleets of agents that share scarce, rate-limited upstream APIs.')
    .version(version)
    .configureOutput({ outputError: (text, write) => write(`${toOneLine(text, 1_000)} (see '${sayHelp()}')\n`) })
    .configureHelp({ sortSubcommands: false })
    .addHelpText('after', HELP)
    .exitOverride();

  // Subcommands copy these settings when they are made, so they come after them.
  addRoleCommands(program, entry, version);
  addJobCommands(program);
  addLaneCommands(program);
  addLimitsCommand(program);
  addAgentsCommand(program);
  addOwnershipCommands(program);
  addPauseCommands(program);
  addNoteCommand(program);
  addTimelineCommand(program);
  addDoctorCommand(program);
  return program;
}

const HELP = `
A first look:
  $ lanekeeper up                          Redis, two pods and the API on this machine
  $ lanekeeper add LANE '{"a":1}'          put a job in; prints its id
  $ lanekeeper why LANE ID                 where is it, and what does it wait for?
  $ lanekeeper dead LANE                   what we stopped trying

Settings come from the environment: REDIS_URL, LANEKEEPER_PREFIX, LANEKEEPER_HOST, LANEKEEPER_PORT,
LANEKEEPER_METRICS_PORT, LANEKEEPER_LOCK_URLS, LANEKEEPER_DATA, LOG_LEVEL. Exit status: 0 done, 1 refused or failed, 2 wrong usage.`;

function fail(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // Help and version end as errors too; commander has already said what it had to.
    return thrown.exitCode === 0 || thrown.code === 'commander.helpDisplayed' ? 0 : 2;
  }
  const error = toError(thrown);
  const isOurs = error instanceof LanekeeperError;
  const line = isOurs ? error.message : `${error.name}: ${error.message}`;
  process.stderr.write(
    `${paint('red', 'error:', process.stderr)} ${toOneLine(line)}${isOurs ? ` (${error.code})` : ''}\n`,
  );
  if (!isOurs && process.env.LOG_LEVEL === 'debug') process.stderr.write(`${error.stack}\n`);
  return isOurs && error.code === 'LK_USAGE' ? 2 : 1;
}
