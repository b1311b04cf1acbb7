// Typed wrapper of extend-slot.lua.

import { defineScript } from './define-script.ts';

export const extendSlot = defineScript({
  file: new URL('./extend-slot.lua', import.meta.url),
  keys: ['slots'],
  args: ['id', 'forMs'],
  reply: (raw) => raw === 1,
});
