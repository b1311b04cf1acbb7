// `simulate`: the stand-in upstream, as a process of its own.

import { createSimulator, listScenarios, scenarioNames } from '../../simulator/index.ts';
import { wrongOption } from '../../words/errors.ts';
import { onLeave, tellReady } from './leaving.ts';
import { say, sayJson, sayTable } from './print.ts';

interface SimulateOptions {
  scenario: string;
  port: number;
  seed: number;
  record?: string;
  list?: boolean;
  json?: boolean;
}

export async function runSimulate({ scenario, port, seed, record, list, json }: SimulateOptions): Promise<void> {
  if (list) {
    const scenarios = listScenarios();
    if (json) return sayJson(scenarios);
    const rows = scenarios.map(({ name, line }) => [name, line]);
    return sayTable(['SCENARIO', 'WHAT A USER SEES'], rows);
  }
  if (!(scenarioNames() as readonly string[]).includes(scenario)) {
    throw wrongOption('LK_INPUT', '--scenario', `one of ${scenarioNames().join(', ')}`, scenario);
  }
  const simulator = createSimulator({ scenario, port, seed, ...(record === undefined ? {} : { recordTo: record }) });
  const { url } = await simulator.start();
  if (json) sayJson({ url, scenario });
  else {
    say(`the stand-in upstream listens on ${url}, scenario ${scenario}`);
    say(`  record    ${url}/_sim/log`);
    say(`  verdict   ${url}/_sim/verdict?format=text`);
    say(`  change it curl -X POST ${url}/_sim/scenario -d '{"name":"tight"}' -H 'content-type: application/json'`);
  }
  tellReady({ role: 'simulator', url });
  onLeave(() => {
    void simulator.stop().then(() => process.exit(0));
  });
}
