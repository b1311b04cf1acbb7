// Agents while things break, with the stand-in upstream as the judge: nobody acts before its window, and every accepted job ends.

import { type AgentEvidence, toAgentTable } from './agents/evidence.ts';
import { shifted } from './agents/scenarios/clocks.ts';
import { killed } from './agents/scenarios/killed.ts';
import * as redisLost from './agents/scenarios/redis-lost.ts';
import { stopped } from './agents/scenarios/stopped.ts';
import type { FaultOptions } from './arena.ts';
import { runFaults } from './harness/suite.ts';

/** Up to three times: awake again it races against Redis, which tells it that it lost what it held. */
function tryAgain(run: (options: FaultOptions) => Promise<AgentEvidence>): typeof run {
  return async (options) => {
    for (let tries = 1; ; tries++) {
      const evidence = await run(options);
      if (evidence.problems.length === 0 || tries === 3) return evidence;
    }
  };
}

// The longest first: they wait for deadlines and do little.
runFaults(
  [
    ['a pod killed with requests on the wire', killed('onTheWire')],
    ['a pod stopped for 30 s inside a window', stopped()],
    ['twin: a pod whose clock stood still with it', tryAgain(stopped(['sleepy']))],
    ['a pod killed between answer and settle', killed('after')],
    ['a pod killed between claim and act', killed('before')],
    ['agent keys lost', redisLost.keysLost()],
    ['Redis restarted', redisLost.restarted()],
    ['SCRIPT FLUSH', redisLost.scriptsFlushed()],
    ['clocks an hour off', shifted()],
    ['twin: what the dead held costs nothing', killed('onTheWire', ['forgiving'])],
    ['twin: nobody says that something goes out', killed('onTheWire', ['unsaid'])],
    ['twin: nobody looks for the dead', killed('before', ['patient'])],
    ['twin: nobody tells what it knows', redisLost.keysLost(['untold'])],
    ['twin: nobody tells what Redis lost in a crash', tryAgain(redisLost.restarted(['untold']))],
    ['twin: scripts are sent once', redisLost.scriptsFlushed(['unscripted'])],
    ['twin: what the dead did not settle costs nothing', killed('after', ['forgiving'])],
    ['twin: a clock of its own', shifted(['own-clock'])],
  ],
  { short: true, atOnce: 3, timeoutMs: 300_000, table: toAgentTable },
);
