// `npm run faults`: every fault in full, a few side by side, one table at the end. One file, because a table of all needs one
// place that knows when the last is over; each fault is one file in scenarios/. FAULTS_SEED repeats a run; -t picks a fault.

import { runFaults } from './harness/suite.ts';
import * as blocked from './scenarios/blocked.ts';
import * as crashed from './scenarios/crashed.ts';
import * as diskFull from './scenarios/disk-full.ts';
import * as doomed from './scenarios/doomed.ts';
import * as drained from './scenarios/drained.ts';
import * as flushed from './scenarios/flushed.ts';
import * as hurried from './scenarios/hurried.ts';
import * as killed from './scenarios/killed.ts';
import * as poisoned from './scenarios/poisoned.ts';
import * as redisGone from './scenarios/redis-gone.ts';
import * as redisHung from './scenarios/redis-hung.ts';
import * as stolen from './scenarios/stolen.ts';
import * as stopped from './scenarios/stopped.ts';

// The first two wait for minutes and do little: the others take their turns beside them.
runFaults(
  [
    ['a handler that blocks its pods for ever', doomed.runBlocking],
    ['a handler that kills its pods', doomed.runKilling],
    ['a process killed at each point', crashed.run],
    ['Redis gone for a minute', redisGone.runGone],
    ['a pod killed', killed.run],
    ['a pod stopped and continued', stopped.run],
    ['SIGTERM under load', drained.run],
    ['Redis hung', redisHung.run],
    ['the disk of Redis full', diskFull.run],
    ['an event loop blocked', blocked.run],
    ['two SIGTERMs while settling', hurried.run],
    ['Redis restarted', redisGone.runRestarted],
    ['scripts and data flushed', flushed.run],
    ['poisoned handlers', poisoned.run],
    ['a lock stolen', stolen.run],
  ],
  { short: false, atOnce: 5, timeoutMs: 900_000 },
);
