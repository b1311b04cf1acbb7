// Every limit and every fault against it in full, with the twin of each protection: the same run with pods that lack it must
// break the limit. First what needs the machine to itself, then what mostly waits. LIMITS_DRIVERS picks a driver, -t a run.

import { runFaults } from './harness/suite.ts';
import { onEachDriver } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import * as backlog from './limits/scenarios/backlog.ts';
import { conform, LOADS } from './limits/scenarios/conform.ts';

const loads = Object.keys(LOADS) as (keyof typeof LOADS)[];

runFaults(
  onEachDriver([
    ...loads.map((name): [string, ReturnType<typeof conform>] => [name, conform(name)]),
    ['10,000 waiting for a slot', backlog.blocked],
    ['10,000 waiting for 20 a second', backlog.flowing],
  ]),
  { short: false, atOnce: 1, timeoutMs: 1_800_000, table: toLimitTable },
);
