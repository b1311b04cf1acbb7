// Typed wrapper of know-tag.lua.

import { defineScript } from './define-script.ts';

export const knowTag = defineScript({
  file: new URL('./know-tag.lua', import.meta.url),
  keys: ['intentTags'],
  args: ['tag'],
  reply: (raw) => raw === 1,
});
