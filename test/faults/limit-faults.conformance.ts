// The conformance suite of limits, second half: what may happen to pods, clocks and Redis while a limit holds, with the twin of
// each protection. LIMITS_DRIVERS picks a driver, -t a run.

import { runFaults } from './harness/suite.ts';
import { onDriver, onEachDriver, twin } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import * as clocks from './limits/scenarios/clocks.ts';
import { conform } from './limits/scenarios/conform.ts';
import * as crashed from './limits/scenarios/crashed.ts';
import { held } from './limits/scenarios/held.ts';
import * as own from './limits/scenarios/own.ts';
import * as redisLost from './limits/scenarios/redis-lost.ts';
import * as stopped from './limits/scenarios/stopped.ts';

runFaults(
  [
    ...onEachDriver([
      ['a pod stopped between requests', stopped.between()],
      twin('a deadline slept through', stopped.between(['sleepy', 'unextended'])),
      ['a pod stopped with requests on the wire', stopped.onTheWire()],
      twin('a stopped request not held for', stopped.onTheWire(['unextended'])),
      ['a pod killed with nothing on the wire', crashed.idle()],
      twin('slots that outlive their pod', crashed.idle(['unexpiring'])),
      ['a pod killed with requests on the wire', crashed.onTheWire()],
      twin('a killed request not held for', crashed.onTheWire(['unextended'])),
      ['clocks an hour off', clocks.shifted()],
      twin("by the pod's own clock", clocks.shifted(['own-clock'])),
      ['SCRIPT FLUSH', redisLost.scriptsFlushed],
      ['FLUSHALL', redisLost.flushed()],
      twin('lost state taken for none', redisLost.flushed(['unclosed'])),
      ['Redis restarted', redisLost.restarted],
      ['429 with Retry-After', held()],
      twin('a hold kept to itself', held(['unheld'])),
      twin('tickets sent late', conform('20 a second, handlers that dawdle', ['late'])),
    ]),
    // Bottleneck refuses such limits at definition, as test/path/limit-plan shows.
    ...onDriver('scripts', [
      ['tokens per second, a pod killed', own.tokens('1s')],
      ['tokens per minute, a pod killed', own.tokens('1m')],
      twin('tokens forgotten when they are used', own.tokens('1s', ['forgetful'])),
      twin('tokens of calls under way forgotten', own.tokens('1s', ['fleeting'])),
      ['tokens of a killed pod', own.tokensOfTheDead()],
      twin('tokens of the dead forgotten', own.tokensOfTheDead(['fleeting'])),
      ['FLUSHALL, tokens', own.tokensFlushed()],
      twin('lost state taken for none, tokens', own.tokensFlushed(['unclosed'])),
      ['an agent that is used up', own.agentUsedUp()],
      twin('slots held for an agent', own.agentUsedUp(['unyielding'])),
      ['by agent, one pod killed, one stopped', own.agents()],
      twin('by agent, forgotten when they end', own.agents(['forgetful'])),
      twin('by agent, forgotten while they run', own.agents(['fleeting'])),
      ['agents of a pod stopped between requests', own.agentsOfTheStopped()],
      twin('agents, a deadline slept through', own.agentsOfTheStopped(['sleepy', 'unextended'])),
    ]),
  ],
  { short: false, atOnce: 2, timeoutMs: 3_600_000, table: toLimitTable },
);
