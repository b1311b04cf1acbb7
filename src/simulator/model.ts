// A model that needs no weights: facts are the sentences of the text, and every answer says what it used and how good it was.

import type { Behaviour } from './behaviour.ts';
import type { RequestRecord } from './record.ts';
import { type Luck, pickWhole } from './rng.ts';

export interface ModelFacts {
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number };
  readonly quality?: { readonly score: number };
}

/** Draws usage and quality, and notes the tokens in the record. */
export function modelFacts(call: { behaviour: Behaviour; luck: Luck; record: RequestRecord }): ModelFacts {
  const { behaviour, luck, record } = call;
  const facts: { -readonly [K in keyof ModelFacts]: ModelFacts[K] } = {};
  if (behaviour.usage) {
    const inputTokens = pickWhole(luck.inputTokens, behaviour.usage.input);
    const outputTokens = pickWhole(luck.outputTokens, behaviour.usage.output);
    facts.usage = { inputTokens, outputTokens };
    record.tokensUsed = inputTokens + outputTokens;
  }
  if (behaviour.quality) {
    const [low, high] = behaviour.quality.score;
    facts.quality = { score: Math.round((low + luck.quality * (high - low)) * 1_000) / 1_000 };
  }
  return facts;
}

export function answerModel(text: string, facts: ModelFacts): Record<string, unknown> {
  const sentences = text.match(/[^.!?\n]+/g) ?? [];
  const statements = sentences.map((sentence) => sentence.trim()).filter((sentence) => sentence !== '');
  return {
    model: 'stand-in-1',
    facts: statements
      .slice(0, 20)
      .map((statement) => ({ statement, numbers: (statement.match(/\d+/g) ?? []).map(Number) })),
    ...facts,
  };
}
