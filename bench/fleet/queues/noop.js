// The lane that is measured: open, five fields, default retry, everything else at its default but the concurrency, which
// raw BullMQ is given too. With BENCH_LIMITS it has an upstream of its own name, so its keys stay where they are. Plain
// JavaScript, so that the pod runs in plain node, as built.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

const { BENCH_LIMITS, BENCH_URL } = process.env;
export const upstream =
  BENCH_LIMITS && defineUpstream({ name: 'noop', baseUrl: BENCH_URL, limits: JSON.parse(BENCH_LIMITS) });

export const noop = defineLane({
  name: 'noop',
  ...(upstream ? { upstream } : {}),
  payload: z.object({
    title: z.string().min(1),
    body: z.string(),
    channel: z.string(),
    count: z.number().int().nonnegative(),
    urgent: z.boolean(),
  }),
  concurrency: 100,
});
