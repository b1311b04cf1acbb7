// Two lanes whose jobs act as the agents of one upstream, with a cooldown each. Plain JavaScript: pods start sooner.

import { defineLane, defineUpstream } from 'lanekeeper';
import { z } from 'zod';

const { agents, cooldown } = JSON.parse(process.env.AGENTS_FLEET);

const acting = defineUpstream({ name: 'acting', baseUrl: process.env.AGENTS_URL, agents });

const Work = z.object({
  n: z.number().int(),
  /** Requests, one after another. */
  steps: z.number().int().default(1),
  /** Where it dawdles, in the pods called victim: before the first request, between two, after the last. */
  dawdle: z.enum(['before', 'between', 'after']).optional(),
  forMs: z.number().default(60_000),
});

const lane = (name) =>
  defineLane({
    name,
    upstream: acting,
    payload: Work,
    agent: { cooldown },
    timeout: '120s',
    concurrency: 64,
    retry: { attempts: 6, backoff: ['100ms'] },
  });

export const alpha = lane('alpha');
export const beta = lane('beta');
