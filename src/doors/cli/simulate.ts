// `simulate`: the stand-in upstream, as a process of its own.

import type { Command } from 'commander';
import { createSimulator, SCENARIOS } from '../../simulator/index.ts';
import { LanekeeperError, quote } from '../../words/errors.ts';
import { onLeave, tellReady } from './leaving.ts';
import { count } from './options.ts';
import { say, sayJson, sayTable } from './print.ts';

export function addSimulateCommand(program: Command): void {
  program
    .command('simulate')
    .description('a stand-in upstream that misbehaves on command and keeps the record')
    .option('--scenario <name>', 'how it behaves at first; --list shows them all', 'calm')
    .option('--port <n>', 'where it listens; 0 takes a free one', count, 4477)
    .option('--seed <n>', 'its chance, so that a run can be repeated', count, 1)
    .option('--record <file>', 'also append every request to this file, as JSON Lines')
    .option('--list', 'list the scenarios and end')
    .option('--json', 'answer with JSON')
    .action(
      async (options: {
        scenario: string;
        port: number;
        seed: number;
        record?: string;
        list?: boolean;
        json?: boolean;
      }) => {
        const scenarios = Object.entries(SCENARIOS).map(([name, { line }]) => ({ name, says: line }));
        if (options.list) {
          if (options.json) return sayJson(scenarios);
          return sayTable(
            ['SCENARIO', 'WHAT A USER SEES'],
            scenarios.map(({ name, says }) => [name, says]),
          );
        }
        if (!Object.hasOwn(SCENARIOS, options.scenario)) {
          const known = scenarios.map(({ name }) => name).join(', ');
          throw new LanekeeperError('LK_INPUT', `--scenario: expected one of ${known}, got ${quote(options.scenario)}`);
        }
        const { scenario, port, seed, record } = options;
        const simulator = createSimulator({
          scenario,
          port,
          seed,
          ...(record === undefined ? {} : { recordTo: record }),
        });
        const { url } = await simulator.start();
        if (options.json) sayJson({ url, scenario });
        else {
          say(`the stand-in upstream listens on ${url}, scenario ${scenario}`);
          say(`  record    ${url}/_sim/log`);
          say(`  verdict   ${url}/_sim/verdict`);
          say(
            `  scenario  curl -X POST ${url}/_sim/scenario -H 'content-type: application/json' -d '{"name":"tight"}'`,
          );
        }
        tellReady({ role: 'simulator', url });
        onLeave(() => {
          void simulator.stop().then(() => process.exit(0));
        });
      },
    );
}
