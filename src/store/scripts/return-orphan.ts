// Typed wrapper of return-orphan.lua.

import { defineScript } from './define-script.ts';

/** True when the job lay nowhere and now waits again. */
export const returnOrphan = defineScript({
  file: new URL('./return-orphan.lua', import.meta.url),
  keys: ['job', 'wait', 'active', 'delayed', 'prioritized', 'children', 'completed', 'failed', 'marker', 'lock'],
  args: ['id', 'at'],
  reply: (raw) => (raw as [number])[0] === 1,
});
