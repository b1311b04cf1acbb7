// Typed wrapper of begin-intent.lua.

import { WRITE_ENTRY_FILE } from '../journal-stream.ts';
import { defineScript } from './define-script.ts';

export const beginIntent = defineScript({
  file: new URL('./begin-intent.lua', import.meta.url),
  preludes: [WRITE_ENTRY_FILE],
  keys: ['intents', 'journal'],
  args: ['id', 'intent', 'who', 'what', 'known'],
  reply: (raw) => raw === 1,
});
