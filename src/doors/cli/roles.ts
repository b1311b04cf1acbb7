// The commands that run for long: up, worker, api, simulate. Their code is loaded when they run and not before: it would cost
// every short command 0.1 s.

import type { Command } from 'commander';
import { count, dirCommand } from './options.ts';

export function addRoleCommands(program: Command, entry: string, version: string): void {
  dirCommand(program, 'up', 'run everything on this machine: Redis, pods and the API')
    .option('--pods <n>', 'pods to run', count('pods'), 2)
    .option('--concurrency <n>', 'attempts at once in each pod', count('concurrency'), 64)
    .action(async (options) => (await import('./up.ts')).runUp(options, entry));

  dirCommand(program, 'worker', 'run one pod: fetch jobs and hand them to their handlers')
    .option('--lanes <names>', 'only these lanes, separated by commas')
    .option('--concurrency <n>', 'attempts at once over all lanes', count('concurrency'), 64)
    .option('--drain <duration>', 'on SIGTERM, let running attempts end for so long', '20s')
    .action(async (options) => (await import('./worker.ts')).runWorker(options, version));

  dirCommand(program, 'api', 'serve /healthz, /readyz and /metrics for the fleet').action(async (options) =>
    (await import('./api.ts')).runApi(options, version),
  );

  program
    .command('simulate')
    .description('a stand-in upstream that misbehaves on command and keeps the record')
    .option('--scenario <name>', 'how it behaves at first; --list shows them all', 'calm')
    .option('--port <n>', 'where it listens; 0 takes a free one', count('port'), 4477)
    .option('--seed <n>', 'its chance, so that a run can be repeated', count('seed'), 1)
    .option('--record <file>', 'also append every request to this file, as JSON Lines')
    .option('--list', 'list the scenarios and end')
    .option('--json', 'answer with JSON')
    .action(async (options) => (await import('./simulate.ts')).runSimulate(options));
}
