// Posts to a forum, each on behalf of an agent.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

export const forum = defineUpstream({
  name: 'forum',
  baseUrl: process.env.FORUM_URL ?? 'http://127.0.0.1:4477',
  limits: [{ concurrent: 3 }, { count: 120, per: '1m' }],
  agents: ['a01', 'a02', 'a03', 'a04'],
  pins: { 'x-api-version': '2025-10-01' },
});

export const publish = defineLane({
  name: 'publish',
  upstream: forum,
  payload: z.object({ title: z.string().min(1).max(200), body: z.string() }),
  agent: { cooldown: '2s' }, // two hours, where it is in earnest
  concurrency: 4,
  timeout: '30s',
  runbook: 'docs/runbooks/publish.md',
});
