// Typed wrapper of find-impostors.lua.

import { RESERVED_NAMES, type ReservedName } from '../reserved-names.ts';
import { defineScript } from './define-script.ts';

const KEYS = [...RESERVED_NAMES, 'meta', 'orphans'] as const;

/** `hasOrphans`: an impostor was buried, and nobody has looked yet for the jobs that were dropped because of it. */
export const findImpostors = defineScript({
  file: new URL('./find-impostors.lua', import.meta.url),
  keys: KEYS,
  args: [],
  reply(raw): { found: ReservedName[]; hasOrphans: boolean } {
    const names = (raw as number[]).map((n) => KEYS[n - 1]);
    const found = names.filter((name) => name !== undefined && name !== 'orphans');
    return { found, hasOrphans: names.includes('orphans') };
  },
});
