// Typed wrapper of bury-impostor.lua.

import { defineScript } from './define-script.ts';

/** `was` is where the impostor lay; undefined when there was none (any more). */
export const buryImpostor = defineScript({
  file: new URL('./bury-impostor.lua', import.meta.url),
  keys: [
    'own',
    'letter',
    'lock',
    'wait',
    'active',
    'delayed',
    'prioritized',
    'children',
    'completed',
    'failed',
    'stalled',
    'marker',
    'orphans',
    'dedupe',
  ],
  args: ['name', 'id', 'reason', 'stacks', 'at'],
  reply: (raw) => ({ was: (raw as [number, string?])[1] }),
});
