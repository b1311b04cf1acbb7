// Typed wrapper of register-limits.lua.

import type { Limit, LimitKind } from '../../words/limit.ts';
import { defineScript } from './define-script.ts';

/** Its size is Redis's matter: overrides change it while it runs. */
export type KnownLimit = Omit<Limit, 'size'>;

export const registerLimits = defineScript({
  file: new URL('./register-limits.lua', import.meta.url),
  keys: ['limits'],
  args: ['pod', 'limits', 'closedMs', 'channel'],
  reply: (raw) => {
    const [closedMs, differ, limits] = raw as [number, string, string[]];
    return {
      closedMs,
      differ: JSON.parse(differ) as Record<string, Record<string, number>>,
      /** Each that holds, whoever defined it. */
      limits: limits.map((text): KnownLimit => {
        const [kind, name, perMs, byAgent] = text.split(' ') as [LimitKind, string, string, string];
        return { kind, name, perMs: Number(perMs), byAgent: byAgent === '1' };
      }),
    };
  },
});
