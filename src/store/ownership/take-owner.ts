// Typed wrapper of take-owner.lua.

import { defineScript } from '../scripts/define-script.ts';
import { LEASE_PRELUDES, readLease, type SeenLease } from './lease-fields.ts';

export type Taken =
  | {
      kind: 'granted';
      /** The owner there was took a new term. */
      isSame: boolean;
      lease: SeenLease;
      /** Whom it was taken from by force. */
      displaced: SeenLease | undefined;
      /** All that this lease is for. */
      lanes: string[];
      /** Attempts that ran for the one before. */
      stopped: number;
      /** Of a lock server's data. */
      ageMs: number;
    }
  | { kind: 'owned'; lease: SeenLease }
  | { kind: 'abstains'; forMs: number };

export const takeOwner = defineScript({
  file: new URL('./take-owner.lua', import.meta.url),
  // What is set aside moves in the agents' calendar too.
  preludes: [
    new URL('../calendar/calendar.lua', import.meta.url),
    ...LEASE_PRELUDES,
    new URL('./set-aside.lua', import.meta.url),
  ],
  keys: ['owner', 'lanes', 'journal', 'changes', 'born'],
  args: [
    'lane',
    'as',
    'by',
    'reason',
    'termMs',
    'hold',
    'ask',
    'isForced',
    'floor',
    'token',
    'abstainMs',
    'known',
    'channel',
    'upstreamPrefix',
    'lanesPrefix',
    'queuesPrefix',
  ],
  reply(raw): Taken {
    const [kind, second, third, ...rest] = raw as unknown[];
    if (kind === 'abstains') return { kind, forMs: Number(second) };
    if (kind === 'owned') return { kind, lease: readLease(second) as SeenLease };
    const [prior, lanes, stopped, ageMs] = rest as [unknown, string[], number, number];
    return {
      kind: 'granted',
      isSame: second === 1,
      lease: readLease(third) as SeenLease,
      displaced: readLease(prior),
      lanes,
      stopped,
      ageMs,
    };
  },
});
