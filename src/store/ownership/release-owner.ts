// Typed wrapper of release-owner.lua.

import { defineScript } from '../scripts/define-script.ts';
import { LEASE_PRELUDES, readLease } from './lease-fields.ts';

export const releaseOwner = defineScript({
  file: new URL('./release-owner.lua', import.meta.url),
  preludes: LEASE_PRELUDES,
  keys: ['owner', 'lanes', 'journal', 'changes'],
  args: ['lane', 'as', 'by', 'token', 'hold', 'ask', 'why', 'isLock', 'known', 'channel'],
  reply(raw) {
    const [kind, lease, lanes] = raw as ['released' | 'owned' | 'stale' | 'free', unknown, string[]?];
    return { kind, lease: readLease(lease), lanes: lanes ?? [] };
  },
});
