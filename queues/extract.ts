// Asks a model what a text says. Slow and dear, so few at a time.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const model = defineUpstream({
  name: 'model',
  baseUrl: process.env.MODEL_URL ?? 'http://127.0.0.1:4477',
});

export const extract = defineLane({
  name: 'extract',
  upstream: model,
  payload: z.object({ text: z.string().min(1) }),
  concurrency: 2,
  retry: { attempts: 3, backoff: ['5s', '30s'] },
  timeout: '2m',
});
