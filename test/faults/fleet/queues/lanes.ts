// The lanes that the faults run on, and their two upstreams: `guarded` honours idempotency keys and checks fences, `bare`
// does neither, so that what runs twice is seen once at the one and twice at the other. Timeouts are short: so are the runs.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const guarded = defineUpstream({ name: 'guarded', baseUrl: process.env.FAULTS_GUARDED_URL });
export const bare = defineUpstream({ name: 'bare', baseUrl: process.env.FAULTS_BARE_URL, idempotency: false });

/** `n` is the harness's own number of an add, by which it knows a job whose id it never heard. */
const Work = z.object({
  n: z.number().int(),
  /** Requests, one after another. */
  steps: z.number().int().default(1),
  /** After each request. */
  holdMs: z.number().default(0),
  /** After the first request of the job's first start only: long in flight once, quick when it runs again. */
  firstHoldMs: z.number().default(0),
});

const quick = { attempts: 6, backoff: ['100ms'], jitter: 0.2 };

/** Does its work and listens to its signal. */
export const steady = defineLane({
  name: 'steady',
  upstream: guarded,
  payload: Work,
  concurrency: 400,
  retry: quick,
  timeout: '5m',
});
export const plain = defineLane({
  name: 'plain',
  upstream: bare,
  payload: Work,
  concurrency: 400,
  retry: quick,
  timeout: '5m',
});
/** Ignores its signal and goes on, through ctx.fetch: what the engine must stop by itself. */
export const deaf = defineLane({
  name: 'deaf',
  upstream: guarded,
  payload: Work,
  concurrency: 400,
  retry: quick,
  timeout: '5m',
});
/** Ignores its signal and goes on, past the engine, with the global fetch: the twin that must be caught. */
export const reckless = defineLane({
  name: 'reckless',
  upstream: bare,
  payload: Work,
  concurrency: 400,
  retry: quick,
  timeout: '5m',
});

export const POISONS = [
  'throw-string',
  'throw-null',
  'throw-bare-object',
  'throw-hostile-getter',
  'throw-hostile-stack',
  'never',
  'bigint',
  'circular',
  'huge',
  'fickle',
  'function',
  'stray',
  'block',
  'block-always',
  'kill',
] as const;
export type Poison = (typeof POISONS)[number];

export const poison = defineLane({
  name: 'poison',
  upstream: guarded,
  payload: z.object({
    n: z.number().int(),
    kind: z.enum(POISONS),
    /** For `block`, which blocks at its first start only. */
    blockMs: z.number().default(0),
  }),
  concurrency: 50,
  retry: { attempts: 2, backoff: ['100ms'] },
  timeout: '2s',
});
