// Removes one dead letter with all its keys; false when it is no longer the one that was seen.

import { defineScript } from './define-script.ts';

export const dropLetter = defineScript({
  file: new URL('./drop-letter.lua', import.meta.url),
  keys: ['failed', 'job', 'events'],
  args: ['id', 'diedAt', 'queue'],
  reply: (raw) => raw === 1,
});
