// Agents while things break, with the stand-in upstream as the judge: nobody acts before its window, and every accepted job ends.

import { toAgentTable } from './agents/evidence.ts';
import { shifted } from './agents/scenarios/clocks.ts';
import { killed } from './agents/scenarios/killed.ts';
import * as redisLost from './agents/scenarios/redis-lost.ts';
import { stopped } from './agents/scenarios/stopped.ts';
import { runFaults } from './harness/suite.ts';

// The longest first: they wait for deadlines and do little.
runFaults(
  [
    ['a pod killed with requests on the wire', killed('onTheWire')],
    ['a pod stopped for 30 s inside a window', stopped()],
    ['twin: a pod whose clock stood still with it', stopped(['sleepy'])],
    ['a pod killed between answer and settle', killed('after')],
    ['a pod killed between claim and act', killed('before')],
    ['agent keys lost', redisLost.keysLost()],
    ['Redis restarted', redisLost.restarted],
    ['SCRIPT FLUSH', redisLost.scriptsFlushed],
    ['clocks an hour off', shifted()],
    ['twin: what the dead held costs nothing', killed('onTheWire', ['forgiving'])],
    ['twin: nobody looks for the dead', killed('before', ['patient'])],
    ['twin: nobody tells what it knows', redisLost.keysLost(['untold'])],
    ['twin: a clock of its own', shifted(['own-clock'])],
  ],
  { short: true, atOnce: 3, timeoutMs: 300_000, table: toAgentTable },
);
