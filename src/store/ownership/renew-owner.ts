// Typed wrapper of renew-owner.lua.

import { defineScript } from '../scripts/define-script.ts';
import { LEASE_PRELUDES, readLease } from './lease-fields.ts';

export const renewOwner = defineScript({
  file: new URL('./renew-owner.lua', import.meta.url),
  preludes: LEASE_PRELUDES,
  keys: ['owner', 'lanes', 'journal', 'changes'],
  args: ['lane', 'as', 'by', 'token', 'hold', 'termMs', 'raised', 'restores', 'isLock', 'known'],
  reply(raw) {
    const [kind, lease] = raw as ['renewed' | 'lost', unknown];
    return { kind, lease: readLease(lease) };
  },
});
