// Every fault in the form that fits `npm test`: what its long form shows beyond this is said at the top of its scenario.
// The two that take their pods with them six times have no short form.

import { runFaults } from './harness/suite.ts';
import * as blocked from './scenarios/blocked.ts';
import * as crashed from './scenarios/crashed.ts';
import * as diskFull from './scenarios/disk-full.ts';
import * as drained from './scenarios/drained.ts';
import * as flushed from './scenarios/flushed.ts';
import * as hurried from './scenarios/hurried.ts';
import * as killed from './scenarios/killed.ts';
import * as poisoned from './scenarios/poisoned.ts';
import * as redisGone from './scenarios/redis-gone.ts';
import * as redisHung from './scenarios/redis-hung.ts';
import * as stolen from './scenarios/stolen.ts';
import * as stopped from './scenarios/stopped.ts';

// The longest first.
runFaults(
  [
    ['a pod stopped and continued', stopped.run],
    ['a pod killed', killed.run],
    ['a process killed at each kind of point', crashed.run],
    ['a lock stolen', stolen.run],
    ['SIGTERM under load', drained.run],
    ['two SIGTERMs while settling', hurried.run],
    ['Redis hung', redisHung.run],
    ['the disk of Redis full', diskFull.run],
    ['Redis gone for a while', redisGone.runGone],
    ['Redis restarted', redisGone.runRestarted],
    ['poisoned handlers', poisoned.run],
    ['an event loop blocked', blocked.run],
    ['scripts and data flushed', flushed.run],
  ],
  { short: true, atOnce: 5, timeoutMs: 180_000 },
);
