// The lanes of the crash runs and what they do: each kind of job passes other points, and each writes what it did into the
// run's record.

import { type Context, defineLane, handle, type Job, type Lane, park } from '../../../src/index.ts';
import type { Handler } from '../../../src/path/handler.ts';
import { crashPoint } from '../../../src/words/crash-point.ts';
import { type Begin, type Effect, type End, type Kept, write } from './record.ts';

export const KINDS = ['plain', 'same', 'steps', 'handing', 'failing', 'parking'] as const;
export type Kind = (typeof KINDS)[number];

export interface Work {
  /** The run's own number of the job. */
  n: number;
  kind: Kind;
  /** Of what a job handed over: its place. */
  index?: number;
}

export const ATTEMPTS = 2;
export const STEPS = ['one', 'two'];
export const HAND_OVERS = 2;
const PARK_MS = 100;

const ways = { concurrency: 4, retry: { attempts: ATTEMPTS, backoff: ['20ms'], jitter: 0 } };
export const work: Lane = defineLane({ name: 'work', ...ways });
export const same: Lane = defineLane({ name: 'same', dedupe: 'content', ...ways });
export const next: Lane = defineLane({ name: 'next', ...ways });
export const LANES = [work, same, next];

export function createHandlers(file: string): Handler[] {
  return LANES.map((lane) => handle(lane, { run: (job, ctx) => act(job as Job<Work>, ctx, file) }));
}

async function act(job: Job<Work>, ctx: Context, file: string): Promise<unknown> {
  const { n, kind } = job.payload;
  const note = (line: Begin | Effect | Kept | End) =>
    write(file, { ...line, id: job.id, fence: Number(ctx.fence), pid: process.pid });
  const step = async (name: string) => {
    await ctx.step(name, () => {
      note({ what: 'effect', step: name });
      crashPoint('in-step');
      return name;
    });
    note({ what: 'kept', step: name });
  };
  note({ what: 'begin', lane: job.lane, n, attempt: job.attempt });
  if (kind === 'parking' && ctx.fence === '1') {
    note({ what: 'end', how: 'parked' });
    return park({ until: ctx.clock.now() + PARK_MS, reason: 'once' });
  }
  if (kind === 'steps') for (const name of STEPS) await step(name);
  if (kind === 'handing') {
    for (let index = 0; index < HAND_OVERS; index++) await ctx.add(next, { n, kind: 'plain', index });
  }
  if (kind === 'failing') await step('one');
  note({ what: 'effect', step: null });
  crashPoint('in-handler');
  note({ what: 'end', how: kind === 'failing' ? 'thrown' : 'done' });
  if (kind === 'failing') throw new Error('fails on purpose');
  return kind;
}
