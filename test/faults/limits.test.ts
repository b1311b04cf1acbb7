// Limits in the form that fits `npm test`: a few seconds each, little load. The long form is limits.fault.ts.

import { runFaults } from './harness/suite.ts';
import { onEachDriver } from './limits/drivers.ts';
import { toLimitTable } from './limits/evidence.ts';
import { conform } from './limits/scenarios/conform.ts';

runFaults(
  onEachDriver([
    ['3 at once', conform('3 at once')],
    ['20 a second', conform('20 a second')],
    ['20 a second, twin', conform('20 a second, handlers that dawdle', ['late'])],
  ]),
  { short: true, atOnce: 2, timeoutMs: 180_000, table: toLimitTable },
);
