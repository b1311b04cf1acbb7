// Typed wrapper of register-limits.lua.

import type { Limit, LimitDriverName, LimitKind } from '../../words/limit.ts';
import { defineScript } from './define-script.ts';

/** Its size is Redis's matter: overrides change it while it runs. */
export type KnownLimit = Omit<Limit, 'size'>;

/** What pods say of the driver is told as if it were one more limit. */
export const DRIVER = 'driver';

/**
 * Pods define a limit differently, the strictest first; null: not at all. The least size holds. Of `driver` a size is its name,
 * and the first is the one that grants.
 */
export interface Differ {
  limit: string;
  sizes: { size: number | LimitDriverName | null; pods: string[] }[];
}

export const registerLimits = defineScript({
  file: new URL('./register-limits.lua', import.meta.url),
  keys: ['limits', 'definitions'],
  args: ['pod', 'driver', 'limits', 'closedMs', 'channel', 'known'],
  reply: (raw) => {
    const [closedMs, differ, limits, driver, revision, heldMs, born, why] = raw as Reply;
    return {
      closedMs,
      /** That began to be so just now, and is told to this pod alone. */
      differ: Object.entries(JSON.parse(differ) as Record<string, Sizes>).map((one) => toDiffer(one, driver)),
      /** Each that holds, whoever defined it. */
      limits: limits.map((text): KnownLimit => {
        const [kind, name, perMs, byAgent] = text.split(' ') as [LimitKind, string, string, string];
        return { kind, name, perMs: Number(perMs), byAgent: byAgent === '1' };
      }),
      /** The one that grants; '' when no pod is left and none has been. */
      driver,
      /** Grows with every change of definitions and orders, and when a hold is ended. */
      revision,
      /** Nobody is let through for so long. */
      heldMs,
      /** Since when the state is known: `known` of the next time. */
      born,
      /** Why it is closed now; this pod alone hears so. */
      why,
    };
  },
});

type Reply = [number, string, string[], LimitDriverName | '', number, number, string, Why];
/** Nobody used them before, as far as anybody knows; another driver did; the state is gone; another run of Redis brought it back. */
export type Why = '' | 'first' | 'driver' | 'gone' | 'run';
type Size = Differ['sizes'][number]['size'];
type Sizes = Record<string, Size>;

function toDiffer([limit, sizes]: [string, Sizes], driver: string): Differ {
  const strictness = (size: Size) => (typeof size === 'number' ? size : size === driver ? 0 : Number.POSITIVE_INFINITY);
  const different = [...new Set(Object.values(sizes))].sort((a, b) => strictness(a) - strictness(b));
  const podsOf = (size: Size) => Object.keys(sizes).filter((pod) => sizes[pod] === size);
  return { limit, sizes: different.map((size) => ({ size, pods: podsOf(size).sort() })) };
}
