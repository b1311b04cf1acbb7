#!/usr/bin/env node
// The composition root and the command line. Everything else is handed what it needs; this file decides who hands it.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { addAgentsCommand } from './doors/cli/agents.ts';
import { addDoctorCommand } from './doors/cli/doctor/doctor.ts';
import { addJobCommands } from './doors/cli/jobs.ts';
import { addLaneCommands } from './doors/cli/lanes.ts';
import { addLimitsCommand } from './doors/cli/limits.ts';
import { addNoteCommand } from './doors/cli/note.ts';
import { addOwnershipCommands } from './doors/cli/ownership.ts';
import { addPauseCommands } from './doors/cli/pause.ts';
import { paint, toOneLine } from './doors/cli/print.ts';
import { addRoleCommands } from './doors/cli/roles.ts';
import { addTimelineCommand } from './doors/cli/timeline.ts';
import { LanekeeperError, toError } from './words/errors.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('lanekeeper')
  .description('A Redis-backed job engine for fleets of agents that share scarce, rate-limited upstream APIs.')
  .version(version)
  .configureOutput({ outputError: (text, write) => write(`${toOneLine(text, 1_000)} (see '${sayHelp()}')\n`) })
  .configureHelp({ sortSubcommands: false })
  .addHelpText(
    'after',
    `
A first look:
  $ lanekeeper up                          Redis, two pods and the API on this machine
  $ lanekeeper add LANE '{"a":1}'          put a job in; prints its id
  $ lanekeeper why LANE ID                 where is it, and what does it wait for?
  $ lanekeeper dead LANE                   what we stopped trying

Settings come from the environment: REDIS_URL, LANEKEEPER_PREFIX, LANEKEEPER_HOST, LANEKEEPER_PORT,
LANEKEEPER_METRICS_PORT, LANEKEEPER_DATA, LOG_LEVEL. Exit status: 0 done, 1 refused or failed, 2 wrong usage.`,
  )
  .exitOverride();

// Subcommands copy these settings when they are made, so they come after them.
addRoleCommands(program, fileURLToPath(import.meta.url), version);
addJobCommands(program);
addLaneCommands(program);
addLimitsCommand(program);
addAgentsCommand(program);
addOwnershipCommands(program);
addPauseCommands(program);
addNoteCommand(program);
addTimelineCommand(program);
addDoctorCommand(program);

try {
  await program.parseAsync();
} catch (thrown) {
  fail(thrown);
}

/** Of the command that was called, where there is one. */
function sayHelp(): string {
  const called = program.commands.find((command) => command.name() === process.argv[2]);
  return called ? `lanekeeper ${called.name()} --help` : 'lanekeeper --help';
}

function fail(thrown: unknown): void {
  if (thrown instanceof CommanderError) {
    // Help and version end as errors too; commander has already said what it had to.
    process.exit(thrown.exitCode === 0 || thrown.code === 'commander.helpDisplayed' ? 0 : 2);
  }
  const error = toError(thrown);
  const isOurs = error instanceof LanekeeperError;
  const line = isOurs ? error.message : `${error.name}: ${error.message}`;
  process.stderr.write(
    `${paint('red', 'error:', process.stderr)} ${toOneLine(line)}${isOurs ? ` (${error.code})` : ''}\n`,
  );
  if (!isOurs && process.env.LOG_LEVEL === 'debug') process.stderr.write(`${error.stack}\n`);
  process.exit(isOurs && error.code === 'LK_USAGE' ? 2 : 1);
}
