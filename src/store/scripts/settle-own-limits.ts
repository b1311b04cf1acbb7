// Typed wrapper of settle-own-limits.lua.

import { defineScript } from './define-script.ts';

export type ChangeWire = { limit: string; perMs: number; uses: string; amounts: string; id: string; agent?: string } & (
  | { what: 'drop'; heldMs?: number }
  /** It came to so much, so long ago; it counts until `perMs` after that. */
  | { what: 'settle'; amount: number; agoMs: number; heldMs?: number }
  /** It ends so long from now; no sooner than it would when something is on the wire. */
  | { what: 'keep'; amount: number; forMs: number; isWired: boolean }
  /** It is at least so much. */
  | { what: 'raise'; amount: number; forMs: number }
);

export const settleOwnLimits = defineScript({
  file: new URL('./settle-own-limits.lua', import.meta.url),
  keys: ['limits', 'agents'],
  args: ['changes'],
  /** Those that could not be kept: another may have them. Undefined: nothing is known of this upstream, register it. */
  reply: (raw) => {
    const [kind, ...lost] = raw as string[];
    return kind === 'gone' ? undefined : lost;
  },
});
