import { dead, handle } from 'lanekeeper';
import { z } from 'zod';
import { check } from '../queues/check.ts';
import { publish } from '../queues/publish.ts';

const Answer = z.object({ quality: z.object({ score: z.number() }) });

export const checker = handle(check, {
  async run({ payload: { title, body } }, ctx) {
    if (body.trim() === '') return dead('a draft without a body');
    // Nice to have: while the model is away, drafts go out without its opinion.
    const score = await ctx.optional(
      'opinion',
      async () => {
        const answer = await ctx.fetch('/extract', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ text: body }),
        });
        return Answer.parse(await answer.json()).quality.score;
      },
      null,
    );
    // For any agent: it goes to the one whose window is open, or opens first.
    await ctx.add(publish, { title, body });
    return { score };
  },
});
