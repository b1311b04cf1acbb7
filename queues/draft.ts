// Has a model turn an item of the feed into a draft. Slow and dear: few at a time, and one draft per item however often it is
// collected.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const model = defineUpstream({
  name: 'model',
  baseUrl: process.env.MODEL_URL ?? 'http://127.0.0.1:4477',
  limits: { driver: 'bottleneck', all: [{ concurrent: 2 }] },
});

export const draft = defineLane({
  name: 'draft',
  upstream: model,
  payload: z.object({ item: z.number().int(), text: z.string().min(1) }),
  dedupe: { by: ({ item }) => `item ${item}`, for: '7d' },
  concurrency: 2,
  retry: { attempts: 3, backoff: ['5s', '30s'] },
  timeout: '2m',
});
