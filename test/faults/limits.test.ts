// Limits in the form that fits `npm test`: little load, a few seconds each. More in short form is in limits-short.fault.ts, all
// of it in full in the two .conformance.ts.

import { runFaults } from './harness/suite.ts';
import { onDriver } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import { conform } from './limits/scenarios/conform.ts';
import { held } from './limits/scenarios/held.ts';
import * as redisLost from './limits/scenarios/redis-lost.ts';

runFaults(
  [
    ...onDriver('scripts', [
      ['3 at once', conform('3 at once')],
      ['20 a second', conform('20 a second')],
      ['two lanes, two limits', conform('two lanes, 3 at once, 20 a second')],
      ['SCRIPT FLUSH', redisLost.scriptsFlushed],
      ['429 with Retry-After', held()],
      ['twin: tickets sent late', conform('20 a second, handlers that dawdle', ['late'])],
      ['twin: a hold kept to itself', held(['unheld'])],
    ]),
  ],
  { short: true, atOnce: 3, timeoutMs: 120_000, table: toLimitTable },
);
