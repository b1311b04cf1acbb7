// Typed wrapper of take-own-limits.lua.

import { defineScript } from './define-script.ts';

export interface TakeWire {
  limit: string;
  kind: 'concurrent' | 'count' | 'tokens';
  perMs: number;
  uses: string;
  amounts: string;
  /** Of a limit by agent. */
  agent?: string;
  id: string;
  amount: number;
  /** It counts for so long, and `perMs` more. */
  forMs: number;
}

export type OwnReply =
  | { kind: 'taken' }
  /** Nothing is known of this upstream or one of the limits, or what is may be older than what was taken: register it. */
  | { kind: 'gone' }
  /** Nobody is let through for so long. */
  | { kind: 'shut'; forMs: number }
  /** More than the limit will ever allow at its present size, which an order gave it for so long; 0 for no known end. */
  | { kind: 'over'; limit: string; size: number; forMs: number }
  | { kind: 'wait'; limit: string; used: number; size: number; forMs: number };

export const takeOwnLimits = defineScript({
  file: new URL('./take-own-limits.lua', import.meta.url),
  keys: ['limits', 'agents'],
  args: ['takes', 'tries', 'spread'],
  reply: (raw): OwnReply => {
    const [kind, first, second, third, fourth] = raw as [OwnReply['kind'], string | number, number, number, number];
    if (kind === 'shut') return { kind, forMs: Number(first) };
    if (kind === 'over') return { kind, limit: String(first), size: second, forMs: third };
    if (kind === 'wait') return { kind, limit: String(first), used: second, size: third, forMs: fourth };
    return { kind };
  },
});
