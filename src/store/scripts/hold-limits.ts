// Typed wrapper of hold-limits.lua.

import { defineScript } from './define-script.ts';

export const holdLimits = defineScript({
  file: new URL('./hold-limits.lua', import.meta.url),
  keys: ['limits'],
  args: ['forMs', 'reason', 'who', 'channel'],
  reply: (raw) => raw === 1,
});
