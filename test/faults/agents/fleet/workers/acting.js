// Requests that say who acts, through which pod and start. They listen to no signal: what must not be sent is the engine's to stop.

import { setTimeout as wait } from 'node:timers/promises';
import { handle } from 'lanekeeper';
import { alpha, beta } from '../queues/acting.js';

const POD = process.env.FAULTS_POD;

async function run(job, ctx) {
  const { steps, dawdle, forMs } = job.payload;
  const stay = (where) => POD === 'victim' && dawdle === where && wait(forMs);
  await stay('before');
  for (let step = 1; step <= steps; step++) {
    if (step > 1) await stay('between');
    const answer = await ctx.fetch(`/steps/${step}?pod=${POD}&lane=${job.lane}&start=${ctx.fence}`, {
      headers: { 'x-job-id': job.id, 'x-agent': job.agent },
    });
    await answer.text();
  }
  await stay('after');
}

export const alphaHandler = handle(alpha, { run });
export const betaHandler = handle(beta, { run });
