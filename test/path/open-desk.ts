// A desk of permits with a driver that answers what the test says, and remembers what it was asked.

import { vi } from 'vitest';
import type { DeskLane } from '../../src/path/lane-desk.ts';
import { PermitDesk } from '../../src/path/permit-desk.ts';
import type { Ask, Granted, LimitDriver, LimitNotice } from '../../src/store/limit-driver.ts';
import { systemClock } from '../../src/words/clock.ts';
import { createEventHub } from '../../src/words/events.ts';

const NOTHING: Granted = { slots: [], tickets: undefined, lost: [], againInMs: undefined, isContended: false };

/** Of the event loop. */
export const aTurn = () => new Promise(setImmediate);

export function openDesk(options: {
  slots?: boolean;
  tickets?: boolean;
  requests?: number;
  answer?: (ask: Ask) => Partial<Granted>;
}) {
  const { slots = true, tickets = false, requests = 1 } = options;
  const asks: Ask[] = [];
  const extended: { slot: string; forMs: number }[] = [];
  const listeners: ((notice: LimitNotice) => void)[] = [];
  let issued = 0;
  const answer =
    options.answer ??
    ((ask: Ask): Partial<Granted> => ({
      slots: Array.from({ length: ask.slots }, () => `s${issued++}`),
      tickets: ask.tickets > 0 ? { batch: issued++, count: ask.tickets, forMs: 100 } : undefined,
    }));
  const driver: LimitDriver = {
    plan: { driver: 'scripts', limits: [], travelMs: 5 },
    needs: { slots, tickets },
    async ask(ask) {
      asks.push(ask);
      return { ...NOTHING, ...answer(ask) };
    },
    async extend(slot, forMs) {
      extended.push({ slot, forMs });
      return true;
    },
    hold: async () => true,
    onNotice: (listener) => void listeners.push(listener),
    stop: async () => {},
  };
  const clock = { ...systemClock };
  const desk = new PermitDesk({ upstream: 'u', driver, clock, events: createEventHub() });
  const lane: DeskLane = { name: 'a', weight: 1, requests };
  const taking = desk.lane(lane);
  /** As a lane does: tries, and again when it is called. */
  const take = (wanted = 1) =>
    vi.waitFor(
      () => {
        const permit = taking.tryTake(wanted, () => {});
        if (!permit) throw new Error('none yet');
        return permit;
      },
      { interval: 1 },
    );
  const notify = (notice: LimitNotice) => {
    for (const listener of listeners) listener(notice);
  };
  return { desk, lane: taking, take, asks, extended, notify, clock, signal: new AbortController().signal };
}
