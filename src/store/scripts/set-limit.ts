// Typed wrapper of set-limit.lua.

import { WRITE_ENTRY_FILE } from '../journal-stream.ts';
import { type LimitDefined, type Override, parseDefined, parseOverride } from '../limit-fields.ts';
import { defineScript } from './define-script.ts';

export interface LimitSet {
  before: Override | undefined;
  after: Override | undefined;
  /** The stricter of what the pods' definitions say; undefined when none has said. */
  defined: LimitDefined | undefined;
}

/** An empty `size` ends the order. */
export const setLimit = defineScript({
  file: new URL('./set-limit.lua', import.meta.url),
  preludes: [WRITE_ENTRY_FILE],
  keys: ['limits', 'journal'],
  args: ['limit', 'size', 'who', 'reason', 'forMs', 'notice', 'known', 'defined'],
  reply(raw): LimitSet {
    const [now, before, after, defined] = raw as [number, string, string, string];
    return {
      before: parseOverride(before, now),
      after: parseOverride(after, now),
      defined: parseDefined(defined),
    };
  },
});
