import { dead, handle } from 'lanekeeper';
import { z } from 'zod';
import { check } from '../queues/check.ts';
import { publish } from '../queues/publish.ts';

const Answer = z.object({ quality: z.object({ score: z.number() }) });
const AGENTS = ['a01', 'a02', 'a03', 'a04'];

export const checker = handle(check, {
  async run({ payload: { item, title, body } }, ctx) {
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
    await ctx.add(publish, { title, body }, { agent: AGENTS[item % AGENTS.length] });
    return { score };
  },
});
