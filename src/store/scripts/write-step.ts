// Typed wrapper of write-step.lua.

import { defineScript } from './define-script.ts';

/** False when the job is no longer the attempt's. */
export const writeStep = defineScript({
  file: new URL('./write-step.lua', import.meta.url),
  keys: ['job', 'lock'],
  args: ['token', 'field', 'text'],
  reply: (raw) => raw === 1,
});
