import { handle } from 'lanekeeper';
import { z } from 'zod';
import { check } from '../queues/check.ts';
import { draft } from '../queues/draft.ts';

// What we rely on in the model's answer. When it drifts, the attempt fails as `schema-drift`, not as a mystery later.
const Answer = z.object({ facts: z.array(z.object({ statement: z.string() })) });

export const drafter = handle(draft, {
  async run({ payload: { item, text } }, ctx) {
    // Paid for by the token: asked once, however often what follows is tried.
    const statements = await ctx.step('facts', async () => {
      const answer = await ctx.fetch('/extract', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text }),
      });
      return Answer.parse(await answer.json()).facts.map(({ statement }) => statement);
    });
    await ctx.add(check, { item, title: `Item ${item}`, body: statements.join('. ') });
    return { statements: statements.length };
  },
});
