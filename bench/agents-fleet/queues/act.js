// The lane with agents that is measured: every job is one act. Plain JavaScript, so that the pod runs in plain node, as built.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

const { BENCH_URL, BENCH_AGENTS = '[]', BENCH_COOLDOWN_MS = '500' } = process.env;

export const forum = defineUpstream({ name: 'forum', baseUrl: BENCH_URL, agents: JSON.parse(BENCH_AGENTS) });

export const act = defineLane({
  name: 'act',
  upstream: forum,
  agent: { cooldown: `${Number(BENCH_COOLDOWN_MS)}ms` },
  payload: z.object({ dawdleMs: z.number().default(0) }),
  concurrency: 100,
});
