// Typed wrapper of find-heads.lua.

import { defineScript } from './define-script.ts';

/** BullMQ's score of a delayed job: ms * 2^12 + counter. */
const DELAY_STEP = 2 ** 12;

type Fields = [job: string, timestamp: string, opts: string | null, ...instants: (string | null)[]];

export const findHeads = defineScript({
  file: new URL('./find-heads.lua', import.meta.url),
  keys: ['wait', 'prioritized', 'delayed', 'active', 'meta'],
  args: ['queue', 'untilField', 'sinceField'],
  reply(raw) {
    const [active, paused, [due, score], waiting] = raw as [number, number, [string?, string?], Fields[]];
    return {
      active,
      isPaused: paused === 1,
      /** Of the delayed ones the first, though it need not be due yet. */
      due: due === undefined ? undefined : { job: due, sinceAt: Math.floor(Number(score) / DELAY_STEP) },
      /** `instants`: its until and its since, as far as it has them. */
      waiting: waiting.map(([job, timestamp, opts, ...instants]) => ({ job, timestamp, opts, instants })),
    };
  },
});
