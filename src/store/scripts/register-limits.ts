// Typed wrapper of register-limits.lua.

import type { Limit, LimitKind } from '../../words/limit.ts';
import { defineScript } from './define-script.ts';

/** Its size is Redis's matter: overrides change it while it runs. */
export type KnownLimit = Omit<Limit, 'size'>;

/** Pods define a limit differently, the strictest first; null: not at all. The least size holds. */
export interface Differ {
  limit: string;
  sizes: { size: number | null; pods: string[] }[];
}

export const registerLimits = defineScript({
  file: new URL('./register-limits.lua', import.meta.url),
  keys: ['limits'],
  args: ['pod', 'limits', 'closedMs', 'channel'],
  reply: (raw) => {
    const [closedMs, differ, limits] = raw as [number, string, string[]];
    return {
      closedMs,
      /** That began to be so just now, and is told to this pod alone. */
      differ: Object.entries(JSON.parse(differ) as Record<string, Sizes>).map(toDiffer),
      /** Each that holds, whoever defined it. */
      limits: limits.map((text): KnownLimit => {
        const [kind, name, perMs, byAgent] = text.split(' ') as [LimitKind, string, string, string];
        return { kind, name, perMs: Number(perMs), byAgent: byAgent === '1' };
      }),
    };
  },
});

type Sizes = Record<string, number | null>;

function toDiffer([limit, sizes]: [string, Sizes]): Differ {
  const strictness = (size: number | null) => size ?? Number.POSITIVE_INFINITY;
  const different = [...new Set(Object.values(sizes))].sort((a, b) => strictness(a) - strictness(b));
  const podsOf = (size: number | null) => Object.keys(sizes).filter((pod) => sizes[pod] === size);
  return { limit, sizes: different.map((size) => ({ size, pods: podsOf(size).sort() })) };
}
