import { handle } from 'lanekeeper';
import { z } from 'zod';
import { extract } from '../queues/extract.ts';

// What we rely on in the model's answer. When it drifts, the attempt fails as `schema-drift`, not as a mystery later.
const Answer = z.object({ facts: z.array(z.unknown()), usage: z.object({}).loose() });

export const extractor = handle(extract, {
  async run({ payload }, ctx) {
    const answer = await ctx.fetch('/extract', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text: payload.text }),
    });
    const { facts, usage } = Answer.parse(await answer.json());
    ctx.log.debug({ usage }, 'extract.answered');
    return { facts: facts.length };
  },
});
