// Typed wrapper of sync-bottleneck.lua.

import { defineScript } from './define-script.ts';

export interface BottleneckState {
  nowAt: number;
  born: string;
  closedMs: number;
  /** Other pods that wait for slots; and all that hold or want some. */
  podsWaiting: number;
  podsActive: number;
  used: number;
  lost: ReadonlySet<string>;
  /** The state that this pod had seen is gone; of all pods one is told. */
  isLost: boolean;
}

export const syncBottleneck = defineScript({
  file: new URL('./sync-bottleneck.lua', import.meta.url),
  keys: [
    'limits',
    'slotSettings',
    'ticketSettings',
    'expirations',
    'weights',
    'queued',
    'running',
    'seen',
    'holders',
    'uses',
  ],
  args: [
    'client',
    'leaseMs',
    'renewed',
    'checked',
    'known',
    'closeMs',
    'holdMs',
    'held',
    'holder',
    'tickets',
    'count',
    'perMs',
    'sendMs',
  ],
  reply(raw): BottleneckState {
    const [nowAt, born, closedMs, podsWaiting, podsActive, used, lost, isLost] = raw as [
      number,
      string,
      number,
      number,
      number,
      number,
      string[],
      number,
    ];
    return { nowAt, born, closedMs, podsWaiting, podsActive, used, lost: new Set(lost), isLost: isLost === 1 };
  },
});
