// Posts to a forum, each on behalf of an agent.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const forum = defineUpstream({
  name: 'forum',
  baseUrl: process.env.FORUM_URL ?? 'http://127.0.0.1:4477',
  limits: [{ concurrent: 3 }, { count: 120, per: '1m' }],
  pins: { 'x-api-version': '2025-10-01' },
});

export const publish = defineLane({
  name: 'publish',
  upstream: forum,
  payload: z.object({ title: z.string().min(1).max(200), body: z.string() }),
  concurrency: 4,
  timeout: '30s',
  runbook: 'docs/runbooks/publish.md',
});
