import { handle } from 'lanekeeper';
import { z } from 'zod';
import { collect } from '../queues/collect.ts';
import { draft } from '../queues/draft.ts';

const Page = z.object({ items: z.array(z.object({ id: z.number(), text: z.string() })) });

export const collector = handle(collect, {
  async run({ payload }, ctx) {
    // A step, because the feed goes on: a second attempt must hand over the items that the first one saw.
    const { items } = await ctx.step('page', async () => {
      const answer = await ctx.fetch(`/feed?after=${payload.after}`);
      return Page.parse(await answer.json());
    });
    for (const { id, text } of items) await ctx.add(draft, { item: id, text });
    return { items: items.length };
  },
});
