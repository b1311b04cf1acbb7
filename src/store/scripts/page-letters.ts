// The next page of dead letters after the one seen last.

import { defineScript } from './define-script.ts';

export interface Letter {
  id: string;
  /** Epoch ms, by the clock of the pod that buried it; with the id its place in the order. */
  diedAt: number;
}

export const pageLetters = defineScript({
  file: new URL('./page-letters.lua', import.meta.url),
  keys: ['failed'],
  args: ['afterAt', 'afterId', 'untilAt', 'count'],
  reply(raw): Letter[] {
    const flat = raw as string[];
    return Array.from({ length: flat.length / 2 }, (_, index) => ({
      id: flat[2 * index] as string,
      diedAt: Number(flat[2 * index + 1]),
    }));
  },
});
