// What may happen to pods, clocks and Redis while a limit holds, in full, and who gets how much of it; with the twin of each
// protection: the same run with pods that lack it must break the limit. LIMITS_DRIVERS picks a driver, -t a run.

import { runFaults } from './harness/suite.ts';
import { onEachDriver } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import * as clocks from './limits/scenarios/clocks.ts';
import { conform } from './limits/scenarios/conform.ts';
import * as crashed from './limits/scenarios/crashed.ts';
import * as fair from './limits/scenarios/fair.ts';
import { held } from './limits/scenarios/held.ts';
import * as redisLost from './limits/scenarios/redis-lost.ts';
import * as stopped from './limits/scenarios/stopped.ts';

runFaults(
  onEachDriver([
    ['one job a second beside 10,000', fair.guest()],
    ['twin: nothing given back', fair.guest(['greedy'])],
    ['equal shares of 3 at once', fair.shares({ by: 'at once', weight: 1 })],
    ['shares 2:1 of 3 at once', fair.shares({ by: 'at once', weight: 2 })],
    ['equal shares of 40 a second', fair.shares({ by: 'a second', weight: 1 })],
    ['shares 2:1 of 40 a second', fair.shares({ by: 'a second', weight: 2 })],
    ['twin: weights ignored', fair.shares({ by: 'at once', weight: 2 }, ['weightless'])],
    ['a pod stopped between requests', stopped.between()],
    ['twin: a deadline slept through', stopped.between(['sleepy', 'unextended'])],
    ['a pod stopped with requests on the wire', stopped.onTheWire()],
    ['twin: a stopped request not held for', stopped.onTheWire(['unextended'])],
    ['a pod killed with nothing on the wire', crashed.idle()],
    ['twin: slots that outlive their pod', crashed.idle(['unexpiring'])],
    ['a pod killed with requests on the wire', crashed.onTheWire()],
    ['twin: a killed request not held for', crashed.onTheWire(['unextended'])],
    ['clocks an hour off', clocks.shifted()],
    ["twin: by the pod's own clock", clocks.shifted(['own-clock'])],
    ['SCRIPT FLUSH', redisLost.scriptsFlushed],
    ['FLUSHALL', redisLost.flushed()],
    ['twin: lost state taken for none', redisLost.flushed(['unclosed'])],
    ['Redis restarted', redisLost.restarted],
    ['429 with Retry-After', held()],
    ['twin: a hold kept to itself', held(['unheld'])],
    ['twin: tickets sent late', conform('20 a second, handlers that dawdle', ['late'])],
  ]),
  { short: false, atOnce: 3, timeoutMs: 1_800_000, table: toLimitTable },
);
