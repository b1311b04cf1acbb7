// Removes one dead letter with all its keys; false when it is no longer the one that was seen.

import { WRITE_ENTRY_FILE } from '../journal-stream.ts';
import { defineScript } from './define-script.ts';

export const dropLetter = defineScript({
  file: new URL('./drop-letter.lua', import.meta.url),
  preludes: [WRITE_ENTRY_FILE],
  keys: ['failed', 'job', 'events', 'journal'],
  args: ['id', 'diedAt', 'queue', 'who', 'known'],
  reply: (raw) => raw === 1,
});
