// Requests that say which pod, lane and start sent them. They listen to no signal: what must not be sent any more is the
// engine's to stop.

import { setTimeout as wait } from 'node:timers/promises';
import { handle } from 'lanekeeper';
import { alpha, beta } from '../queues/limited.js';

const POD = process.env.FAULTS_POD;

async function run(job, ctx) {
  const { steps, dawdleMs, holdMs, tokens } = job.payload;
  if (dawdleMs > 0) await wait(Math.random() * dawdleMs);
  for (let step = 1; step <= steps; step++) {
    const answer = await ctx.fetch(`/steps/${step}?pod=${POD}&lane=${job.lane}&start=${ctx.fence}&tokens=${tokens}`, {
      headers: { 'x-job-id': job.id, ...(job.agent && { 'x-agent': job.agent }) },
    });
    await answer.text();
    if (tokens > 0) ctx.spend(tokens);
    if (holdMs > 0) await wait(holdMs);
  }
}

export const alphaHandler = handle(alpha, { run });
export const betaHandler = handle(beta, { run });
