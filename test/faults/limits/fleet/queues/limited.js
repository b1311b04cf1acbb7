// Two lanes that share one upstream and its limits, both as LIMITS_FLEET says. Plain JavaScript: four pods start sooner.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

const { limits, weights, timeout } = JSON.parse(process.env.LIMITS_FLEET);

export const limited = defineUpstream({ name: 'limited', baseUrl: process.env.LIMITS_URL, limits });

const Work = z.object({
  n: z.number().int(),
  /** Requests, one after another. */
  steps: z.number().int().default(1),
  /** Up to so long before the first request, by chance: its permit may be old by then. */
  dawdleMs: z.number().default(0),
  /** After each request, with nothing on the wire. */
  holdMs: z.number().default(0),
  /** What it is expected to use, and what it uses. */
  estimate: z.number().int().default(0),
  tokens: z.number().int().default(0),
});
const isMetered = limits.all.some((limit) => 'tokens' in limit);

const share = (name) =>
  defineLane({
    name,
    upstream: limited,
    payload: Work,
    weight: weights[name],
    timeout,
    ...(isMetered && { tokens: ({ estimate }) => estimate }),
    concurrency: 400,
    retry: { attempts: 6, backoff: ['100ms'] },
  });

export const alpha = share('alpha');
export const beta = share('beta');
