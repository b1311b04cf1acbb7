// Typed wrapper of ask-permits.lua.

import { defineScript } from './define-script.ts';

export interface AskWire {
  lane: string;
  pod: string;
  /** Who counts its asks, and which of them this is: one that is sent again gives no ticket back again. */
  driver: string;
  number: number;
  weight: number;
  /** The revision of the limits as this pod knows them; nothing: whichever. */
  rev?: number | undefined;
  /** Slots of one attempt: granted all or none. */
  unit: number;
  slots: number;
  tickets: number;
  /** Of tickets, those asked for included: how many it could use by and by. */
  demand?: number;
  freed: readonly string[];
  unsent: readonly { batch: number; count: number }[];
  sent: readonly { batch: number; count: number; arrivedMsAgo: number }[];
  /** Nothing is on the wire for these: their leases end one lease from now. */
  kept: readonly string[];
  /** Something is: their leases end no sooner than they would. */
  wired: readonly string[];
  /** Names of the limits that hold for all. */
  limits: readonly string[];
  slotMs: number;
  forMs: number;
  travelMs: number;
  /** When to ask again when nobody can say when a slot is free. */
  againMs: number;
}

export const askPermits = defineScript({
  file: new URL('./ask-permits.lua', import.meta.url),
  keys: ['limits', 'waiting', 'slots'],
  args: ['ask', 'channel'],
  /** Undefined: nothing is known of this upstream, register it. */
  reply: (raw) => {
    const [slots, batch, tickets, lost, again, contended, heldMs] = raw as [
      string[],
      string,
      number,
      string[],
      number,
      number,
      number,
    ];
    if ((slots as unknown) === 'gone') return undefined;
    return {
      slots,
      batch: Number(batch),
      tickets,
      lost,
      againInMs: again < 0 ? undefined : again,
      isContended: contended === 1,
      heldMs,
    };
  },
});
