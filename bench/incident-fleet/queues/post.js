// The accounts of the incident, and the one lane that may act as them: it has one owner at a time.

import { defineLane, defineUpstream } from 'lanekeeper';

const { BENCH_URL, BENCH_AGENTS = '[]', BENCH_COOLDOWN_MS = '1000' } = process.env;

export const forum = defineUpstream({
  name: 'forum',
  baseUrl: BENCH_URL,
  agents: JSON.parse(BENCH_AGENTS),
  limits: [{ concurrent: 3 }],
});

export const post = defineLane({
  name: 'post',
  upstream: forum,
  agent: { cooldown: `${Number(BENCH_COOLDOWN_MS)}ms` },
  ownership: 'exclusive',
});
