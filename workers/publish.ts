// A post is made once: ctx.fetch sends the same Idempotency-Key with every attempt.

import { handle } from 'lanekeeper';
import { publish } from '../queues/publish.ts';

export const publisher = handle(publish, {
  async run({ payload, agent }, ctx) {
    const answer = await ctx.fetch('/posts', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-agent': String(agent) },
      body: JSON.stringify(payload),
    });
    const { id } = (await answer.json()) as { id: string };
    return { postId: id };
  },
});
