// What the measured lane does: see run-job.js.

import { handle } from 'lanekeeper';
import { runJob } from '../../children/run-job.js';
import { noop } from '../queues/noop.js';

export const runner = handle(noop, { run: (_, ctx) => runJob(ctx) });
