// Two exclusive lanes that act as the same agents: one group with one owner. Plain JavaScript: pods start sooner.

import { defineLane, defineUpstream } from 'lanekeeper';

const upstream = defineUpstream({
  name: 'forum',
  baseUrl: process.env.FIGHT_URL,
  // Enough: one that may have acted for a pod that is stopped or dead stays with it for 15 s.
  agents: Array.from({ length: 30 }, (_, n) => `agent-${n}`),
});
const share = (name) =>
  defineLane({
    name,
    upstream,
    agent: { cooldown: '100ms' },
    ownership: 'exclusive',
    displaced: 'park',
    concurrency: 8,
    retry: { attempts: 20, backoff: ['200ms'] },
  });

export const publish = share('publish');
export const reply = share('reply');
