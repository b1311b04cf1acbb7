// Typed wrapper of close-intent.lua.

import { WRITE_ENTRY_FILE } from '../journal-stream.ts';
import { defineScript } from './define-script.ts';

export const closeIntent = defineScript({
  file: new URL('./close-intent.lua', import.meta.url),
  preludes: [WRITE_ENTRY_FILE],
  keys: ['intents', 'journal'],
  args: ['id', 'what', 'who', 'known', 'keeps'],
  /** False: somebody else has told it. */
  reply: (raw) => raw === 1,
});
