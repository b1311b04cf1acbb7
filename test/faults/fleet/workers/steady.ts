// What the well-behaved and the ill-behaved lanes do: requests to an upstream that say which pod, attempt and start sent them.

import { setTimeout as wait } from 'node:timers/promises';
import { type Context, handle, type Job } from 'lanekeeper';
import { bare, deaf, plain, reckless, steady } from '../queues/lanes.ts';

const POD = process.env.FAULTS_POD ?? `pid-${process.pid}`;

interface Work {
  steps: number;
  holdMs: number;
  firstHoldMs: number;
}

function toPath(job: Job, ctx: Context, step: number): string {
  return `/steps/${step}?pod=${POD}&attempt=${job.attempt}&start=${ctx.fence}`;
}

async function hold(payload: Work, ctx: Context, step: number, signal?: AbortSignal): Promise<void> {
  const holdMs = payload.holdMs + (step === 1 && ctx.fence === '1' ? payload.firstHoldMs : 0);
  if (holdMs > 0) await wait(holdMs, undefined, { signal });
}

async function work(job: Job<Work>, ctx: Context, signal?: AbortSignal): Promise<{ pod: string }> {
  for (let step = 1; step <= job.payload.steps; step++) {
    await ctx.fetch(toPath(job, ctx, step), { method: 'POST', headers: { 'x-job-id': job.id } });
    await hold(job.payload, ctx, step, signal);
  }
  return { pod: POD };
}

export const steadyHandler = handle(steady, { run: (job, ctx) => work(job, ctx, ctx.signal) });
export const plainHandler = handle(plain, { run: (job, ctx) => work(job, ctx, ctx.signal) });
export const deafHandler = handle(deaf, { run: (job, ctx) => work(job, ctx) });

export const recklessHandler = handle(reckless, {
  async run(job, ctx) {
    for (let step = 1; step <= job.payload.steps; step++) {
      await fetch(`${bare.baseUrl}${toPath(job, ctx, step)}`, {
        method: 'POST',
        headers: { 'x-job-id': job.id, 'x-fence-token': ctx.fence, 'x-fence-scope': job.id },
      });
      await hold(job.payload, ctx, step);
    }
    return { pod: POD };
  },
});
