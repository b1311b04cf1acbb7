// Typed wrapper of look-own-limit.lua.

import { type Holder, parseDefined, parseOverride, toHolders } from '../limit-fields.ts';
import { defineScript } from './define-script.ts';

export interface OwnUseSeen {
  inUse: number;
  /** What of it is of attempts that run, or of requests without an answer; the rest has come to its end and still counts. */
  underWay: number;
  /** When the next stops to count, at the latest; null while nothing is in use. */
  freesAt: number | null;
  /** Of what is under way, the most first. */
  holders: Holder[];
}

type PlaceSeen = [inUse: number, underWay: number, freesAt: number, holders: (string | number)[]];

export const lookOwnLimit = defineScript({
  file: new URL('./look-own-limit.lua', import.meta.url),
  keys: ['limits'],
  args: ['limit', 'places'],
  reply(raw) {
    const [now, defined, override, places] = raw as [number, string, string, PlaceSeen[]];
    return {
      defined: parseDefined(defined),
      override: parseOverride(override, now),
      /** In the order in which they were asked for. */
      uses: places.map(
        ([inUse, underWay, freesAt, holders]): OwnUseSeen => ({
          inUse,
          underWay,
          freesAt: freesAt === 0 ? null : freesAt,
          holders: toHolders(holders),
        }),
      ),
    };
  },
});
