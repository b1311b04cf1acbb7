// Typed wrapper of look-limit.lua.

import { type LimitDefined, type Override, parseDefined, parseOverride } from '../limit-fields.ts';
import { defineScript } from './define-script.ts';

export interface LimitUse {
  inUse: number;
  /** When the next piece stops to count; null for slots, which end when their attempts do, and while nothing is in use. */
  freesAt: number | null;
  defined: LimitDefined | undefined;
  override: Override | undefined;
  /** In the order in which the lanes were asked for. */
  ofLanes: readonly number[];
  /** Of slots, the most first. */
  holders: readonly { lane: string; pod: string; count: number }[];
}

export const lookLimit = defineScript({
  file: new URL('./look-limit.lua', import.meta.url),
  keys: ['limits', 'uses'],
  args: ['limit', 'use', 'isSlots', 'lanes'],
  reply(raw): LimitUse {
    const [now, inUse, freesAt, defined, override, ofLanes, flat] = raw as [
      number,
      number,
      number,
      string,
      string,
      number[],
      (string | number)[],
    ];
    const holders = Array.from({ length: flat.length / 2 }, (_, index) => {
      const [lane = '', ...pod] = String(flat[2 * index]).split('|');
      return { lane, pod: pod.join('|'), count: Number(flat[2 * index + 1]) };
    });
    return {
      inUse,
      freesAt: freesAt === 0 ? null : freesAt,
      defined: parseDefined(defined),
      override: parseOverride(override, now),
      ofLanes,
      holders: holders.sort((a, b) => b.count - a.count || a.lane.localeCompare(b.lane) || a.pod.localeCompare(b.pod)),
    };
  },
});
