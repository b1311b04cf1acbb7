// Typed wrapper of register-limits.lua.

import { defineScript } from './define-script.ts';

export const registerLimits = defineScript({
  file: new URL('./register-limits.lua', import.meta.url),
  keys: ['limits'],
  args: ['pod', 'limits', 'closedMs', 'channel'],
  reply: (raw) => {
    const [closedMs, differ, limits] = raw as [number, string, string[]];
    return {
      closedMs,
      differ: JSON.parse(differ) as Record<string, Record<string, number>>,
      /** Those that hold for all, whoever defined them. */
      limits: limits.map((text) => {
        const [kind, name] = text.split(' ') as ['concurrent' | 'count', string];
        return { kind, name };
      }),
    };
  },
});
