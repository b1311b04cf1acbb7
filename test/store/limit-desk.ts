// A desk in small, for tests of a driver of limits: runs as many pieces of work as it may, each in a slot, each with a ticket, as
// the plan wants it, and tells when each began and ended. Obeys the interface: counts from before it asked, hands slots on,
// gives back when contended, stops what it lost.

import { type LimitDriver, SLOT_MS } from '../../src/store/limit-driver.ts';
import { systemClock } from '../../src/words/clock.ts';

const KEEP_EVERY_MS = 4_000;
const MARGIN_MS = 200;

export interface Work {
  lane: string;
  weight?: number;
  parallel: number;
  workMs: number;
  /** Goes on with slots whose time is over, to show what looking is for. */
  isCareless?: boolean;
  /** Called at the begin of each; answers what to call at its end. */
  begin: () => () => void;
}

interface Slot {
  id: string;
  untilMono: number;
  end: (() => void) | undefined;
}

export interface Desk {
  /** Takes no more, gives back what it holds. */
  stop(): Promise<void>;
  readonly counts: { begun: number; asks: number; lost: number; burnt: number };
}

const now = () => systemClock.mono();
const isOver = (slot: Slot) => slot.untilMono - MARGIN_MS < now();

export function runDesk(driver: LimitDriver, work: Work): Desk {
  const hasSlots = driver.plan.limits.some(({ kind }) => kind === 'concurrent');
  const hasTickets = driver.plan.limits.some(({ kind }) => kind === 'count');
  const slots = new Map<string, Slot>();
  const freed: string[] = [];
  const counts = { begun: 0, asks: 0, lost: 0, burnt: 0 };
  let busy = 0;
  let tickets = { count: 0, untilMono: 0 };
  let isContended = false;
  let isStopped = false;
  let isAsking = false;
  let isAskedAgain = false;
  let keptMono = now();
  let timer: NodeJS.Timeout | undefined;

  function begin(slot: Slot | undefined): void {
    const end = work.begin();
    busy++;
    counts.begun++;
    let hasEnded = false;
    const over = () => {
      if (hasEnded) return;
      hasEnded = true;
      clearTimeout(ending);
      end();
      busy--;
      if (slot) slot.end = undefined;
    };
    const ending = setTimeout(() => {
      over();
      const isLate = work.isCareless && slot && isOver(slot);
      if (slot && slots.has(slot.id) && (isContended || isStopped) && !isLate) giveBack(slot);
      kick();
    }, work.workMs);
    if (slot) slot.end = over;
  }

  function giveBack(slot: Slot): void {
    slots.delete(slot.id);
    freed.push(slot.id);
  }

  function lose(slot: Slot | undefined): void {
    if (!slot) return;
    counts.lost++;
    slot.end?.();
    slots.delete(slot.id);
  }

  function beginAll(): void {
    if (isStopped) return;
    for (const slot of slots.values()) if (isOver(slot) && !work.isCareless) lose(slot);
    const idle = [...slots.values()].filter(({ end }) => !end);
    while (busy < work.parallel && (!hasSlots || idle.length > 0)) {
      if (hasTickets && (tickets.count === 0 || now() >= tickets.untilMono)) break;
      tickets.count--;
      begin(idle.pop());
    }
    if (tickets.count > 0 && hasTickets) counts.burnt += tickets.count;
    tickets = { count: 0, untilMono: 0 };
  }

  async function ask(): Promise<void> {
    const askedMono = now();
    const idle = [...slots.values()].filter(({ end }) => !end).length;
    const slotsWanted = hasSlots && !isStopped ? Math.max(0, work.parallel - slots.size) : 0;
    const canBegin = hasSlots ? idle + slotsWanted : work.parallel - busy;
    const isKeeping = askedMono - keptMono > KEEP_EVERY_MS;
    const kept = isKeeping ? [...slots.keys()] : [];
    if (isKeeping) keptMono = askedMono;
    counts.asks++;
    const granted = await driver.ask({
      lane: work.lane,
      weight: work.weight ?? 1,
      slots: slotsWanted,
      tickets: hasTickets && !isStopped ? canBegin : 0,
      freed: freed.splice(0),
      unsent: [],
      sent: [],
      kept,
      wired: [],
      unit: 1,
    });
    for (const id of granted.lost) lose(slots.get(id));
    for (const id of kept) {
      const slot = slots.get(id);
      if (slot) slot.untilMono = askedMono + SLOT_MS;
    }
    for (const id of granted.slots) slots.set(id, { id, untilMono: askedMono + SLOT_MS, end: undefined });
    if (granted.tickets) tickets = { ...granted.tickets, untilMono: askedMono + granted.tickets.forMs };
    isContended = granted.isContended;
    clearTimeout(timer);
    timer = setTimeout(kick, Math.min(granted.againInMs ?? 1_000, 1_000));
  }

  function kick(): void {
    if (isStopped) return;
    if (isAsking) {
      isAskedAgain = true;
      return;
    }
    beginAll();
    const isIdle = busy >= work.parallel && freed.length === 0 && now() - keptMono < KEEP_EVERY_MS && !hasSlots;
    if (isIdle) return;
    isAsking = true;
    ask()
      .then(beginAll, () => {})
      .finally(() => {
        isAsking = false;
        if (!isAskedAgain) return;
        isAskedAgain = false;
        kick();
      });
  }

  driver.onNotice((notice) => {
    if (notice.kind === 'held' || (notice.kind === 'free' && notice.lane !== work.lane)) return;
    kick();
  });
  kick();
  return {
    counts,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      while (isAsking) await new Promise((resolve) => setImmediate(resolve));
      for (const slot of slots.values()) {
        slot.end?.();
        giveBack(slot);
      }
      await ask().catch(() => {});
      clearTimeout(timer);
    },
  };
}
