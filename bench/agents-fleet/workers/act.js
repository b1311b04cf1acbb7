// One request for each job, which says who acts, for which job and in which pod. A job that dawdles tells the parent, and waits
// before it sends anything; when it comes again it does not.

import { setTimeout as wait } from 'node:timers/promises';
import { handle } from 'lanekeeper';
import { act } from '../queues/act.js';

const { BENCH_POD } = process.env;

export const actor = handle(act, {
  async run(job, ctx) {
    if (job.payload.dawdleMs > 0 && ctx.fence === '1') {
      process.send({ dawdles: job.agent });
      await wait(job.payload.dawdleMs);
    }
    const headers = { 'x-agent': job.agent, 'x-job-id': job.id };
    await (await ctx.fetch(`/act?pod=${BENCH_POD}`, { headers })).text();
  },
});
