// The conformance suite of limits, first half: every limit under load, and who gets how much of it. One run at a time, because
// each needs the machine to itself. LIMITS_DRIVERS picks a driver, -t a run; the other half is limit-faults.conformance.ts.

import { runFaults } from './harness/suite.ts';
import { onEachDriver, twin } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import * as backlog from './limits/scenarios/backlog.ts';
import { conform, LOADS } from './limits/scenarios/conform.ts';
import * as fair from './limits/scenarios/fair.ts';

const loads = Object.keys(LOADS) as (keyof typeof LOADS)[];

runFaults(
  onEachDriver([
    ...loads.map((name): [string, ReturnType<typeof conform>] => [name, conform(name)]),
    ['10,000 waiting for a slot', backlog.blocked],
    ['10,000 waiting for 20 a second', backlog.flowing],
    ['one job a second beside 10,000', fair.guest()],
    twin('nothing given back', fair.guest(['greedy'])),
    ['equal shares of 3 at once', fair.shares({ by: 'at once', weight: 1 })],
    ['shares 2:1 of 3 at once', fair.shares({ by: 'at once', weight: 2 })],
    ['equal shares of 40 a second', fair.shares({ by: 'a second', weight: 1 })],
    ['shares 2:1 of 40 a second', fair.shares({ by: 'a second', weight: 2 })],
    twin('weights ignored', fair.shares({ by: 'at once', weight: 2 }, ['weightless'])),
  ]),
  { short: false, atOnce: 1, timeoutMs: 3_600_000, table: toLimitTable },
);
