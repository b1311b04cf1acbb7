// Typed wrapper of look-tickets.lua.

import { defineScript } from './define-script.ts';

export interface TicketsSeen {
  /** For so long tickets are granted ahead. */
  aheadMs: number;
  /** What counts now, the last to end first. */
  batches: { endsInMs: number; count: number }[];
}

export const lookTickets = defineScript({
  file: new URL('./look-tickets.lua', import.meta.url),
  keys: ['limits', 'uses', 'settings'],
  args: ['count'],
  reply(raw): TicketsSeen {
    const [aheadMs = 0, ...flat] = raw as number[];
    const batches: TicketsSeen['batches'] = [];
    for (let at = 0; at < flat.length; at += 2) batches.push({ endsInMs: flat[at] ?? 0, count: flat[at + 1] ?? 0 });
    return { aheadMs, batches };
  },
});
