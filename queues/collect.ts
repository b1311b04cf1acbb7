// Reads a feed from where the last reader stopped. Cheap and frequent; yesterday's runs interest nobody.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const feed = defineUpstream({
  name: 'feed',
  baseUrl: process.env.FEED_URL ?? 'http://127.0.0.1:4477',
});

export const collect = defineLane({
  name: 'collect',
  upstream: feed,
  payload: z.object({ after: z.number().int().nonnegative().default(0) }),
  retry: { attempts: 6 },
  timeout: '10s',
  done: { keep: '1h' },
});
