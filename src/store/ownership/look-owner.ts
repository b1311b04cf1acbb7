// Typed wrapper of look-owner.lua.

import { defineScript } from '../scripts/define-script.ts';
import { LEASE_PRELUDES, readLease } from './lease-fields.ts';

export const lookOwner = defineScript({
  file: new URL('./look-owner.lua', import.meta.url),
  preludes: LEASE_PRELUDES,
  keys: ['owner', 'lanes', 'journal', 'changes'],
  args: ['lane', 'known', 'channel'],
  reply(raw) {
    const [lease, lanes, last] = raw as [unknown, string[], string];
    return { lease: readLease(lease), lanes, lastToken: Number(last) };
  },
});
