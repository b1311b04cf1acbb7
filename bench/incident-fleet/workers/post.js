// One request for each job; its address says for whom.

import { handle } from 'lanekeeper';
import { post } from '../queues/post.js';

export const poster = handle(post, {
  async run(job, ctx) {
    const headers = { 'x-agent': job.agent, 'x-job-id': job.id };
    await (await ctx.fetch(`/act?lane=${job.payload.of}`, { headers })).text();
  },
});
