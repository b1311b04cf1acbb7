// Typed wrapper of look-limit.lua.

import {
  type Holder,
  type LimitDefined,
  type Override,
  parseDefined,
  parseOverride,
  toHolders,
} from '../limit-fields.ts';
import { defineScript } from './define-script.ts';

export interface LimitUse {
  inUse: number;
  /** When the next piece stops to count; null for slots, which end when their attempts do, and while nothing is in use. */
  freesAt: number | null;
  defined: LimitDefined | undefined;
  override: Override | undefined;
  /** Tickets, in the order in which the lanes were asked for. */
  ofLanes: readonly number[];
  /** Of slots, the most first. */
  holders: Holder[];
}

type Reply = [number, number, number, string, string, number[], (string | number)[]];

export const lookLimit = defineScript({
  file: new URL('./look-limit.lua', import.meta.url),
  keys: ['limits', 'uses', 'leases', 'holders'],
  args: ['limit', 'isSlots', 'lanes'],
  reply(raw): LimitUse {
    const [now, inUse, freesAt, defined, override, ofLanes, holders] = raw as Reply;
    return {
      inUse,
      freesAt: freesAt === 0 ? null : freesAt,
      defined: parseDefined(defined),
      override: parseOverride(override, now),
      ofLanes,
      holders: toHolders(holders),
    };
  },
});
