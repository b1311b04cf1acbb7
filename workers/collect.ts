import { handle } from 'lanekeeper';
import { z } from 'zod';
import { collect } from '../queues/collect.ts';

const Page = z.object({ items: z.array(z.unknown()) });

export const collector = handle(collect, {
  async run({ payload }, ctx) {
    const answer = await ctx.fetch(`/feed?after=${payload.after}`);
    const { items } = Page.parse(await answer.json());
    return { items: items.length };
  },
});
