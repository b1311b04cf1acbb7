// Limits in the short form, too long still for `npm test`: they wait for leases, or run on both drivers. What the long form
// shows beyond this is in the two .conformance.ts.

import { runFaults } from './harness/suite.ts';
import { onDriver, twin } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import * as clocks from './limits/scenarios/clocks.ts';
import { conform } from './limits/scenarios/conform.ts';
import * as crashed from './limits/scenarios/crashed.ts';
import * as fair from './limits/scenarios/fair.ts';
import { held } from './limits/scenarios/held.ts';
import * as own from './limits/scenarios/own.ts';
import * as redisLost from './limits/scenarios/redis-lost.ts';
import * as stopped from './limits/scenarios/stopped.ts';

// The longest first: they wait for leases and do little.
runFaults(
  [
    ...onDriver('scripts', [
      ['a pod stopped between requests', stopped.between()],
      ['a pod killed with nothing on the wire', crashed.idle()],
      ['a pod killed with requests on the wire', crashed.onTheWire()],
      ['agents of a pod stopped between requests', own.agentsOfTheStopped()],
      ['an agent that is used up', own.agentUsedUp()],
      ['by agent, one pod killed, one stopped', own.agents()],
      ['tokens of a killed pod', own.tokensOfTheDead()],
      ['tokens per second, a pod killed', own.tokens('1s')],
      ['FLUSHALL, tokens', own.tokensFlushed()],
      ['one job a second beside 10,000', fair.guest()],
      ['shares 2:1 of 3 at once', fair.shares({ by: 'at once', weight: 2 })],
      ['FLUSHALL', redisLost.flushed()],
      ['several requests a job', conform('several requests a job, 3 at once, 20 a second')],
      ['handlers that dawdle', conform('20 a second, handlers that dawdle')],
      ['two windows', conform('5 a second, 30 in 10 s')],
      ['clocks an hour off', clocks.shifted()],
      ['Redis restarted', redisLost.restarted],
      twin('nothing given back', fair.guest(['greedy'])),
      twin('tokens forgotten when they are used', own.tokens('1s', ['forgetful'])),
      twin('tokens of the dead forgotten', own.tokensOfTheDead(['fleeting'])),
    ]),
    ...onDriver('bottleneck', [
      ['a pod killed with requests on the wire', crashed.onTheWire()],
      ['FLUSHALL', redisLost.flushed()],
      ['two lanes, two limits', conform('two lanes, 3 at once, 20 a second')],
      ['two windows', conform('5 a second, 30 in 10 s')],
      ['429 with Retry-After', held()],
    ]),
  ],
  { short: true, atOnce: 3, timeoutMs: 300_000, table: toLimitTable },
);
