// Typed wrapper of release-hold.lua.

import { WRITE_ENTRY_FILE } from '../journal-stream.ts';
import { defineScript } from './define-script.ts';

export const releaseHold = defineScript({
  file: new URL('./release-hold.lua', import.meta.url),
  preludes: [WRITE_ENTRY_FILE],
  keys: ['limits', 'journal'],
  args: ['channel', 'who', 'known'],
  /** Undefined: nothing was held. */
  reply(raw) {
    const [leftMs, held] = raw as [number, string];
    if (leftMs === 0) return undefined;
    const { who = null, reason = null } = JSON.parse(held || '{}') as { who?: string; reason?: string };
    return { leftMs, who, reason };
  },
});
