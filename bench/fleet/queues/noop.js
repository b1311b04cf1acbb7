// The lane that is measured: open, five fields, default retry, everything else at its default but the concurrency, which
// raw BullMQ is given too. Plain JavaScript, so that the pod runs in plain node, as built.

import { defineLane } from 'lanekeeper';
import { z } from 'zod';

export const noop = defineLane({
  name: 'noop',
  payload: z.object({
    title: z.string().min(1),
    body: z.string(),
    channel: z.string(),
    count: z.number().int().nonnegative(),
    urgent: z.boolean(),
  }),
  concurrency: 100,
});
