// The orders of an incident, and what each changed: the attempts on its upstream in the five minutes before and after. Bounded.

import type { TimelineLine } from './timeline-line.ts';
import { MINUTE_MS } from './timeline-minute.ts';

/** What an order changed is looked for in so long before and after it. */
export const WATCH_MS = 5 * MINUTE_MS;
const MAX_ORDERS = 60;
const MAX_TAGS = 300;
const SLICE_MS = 10_000;

/** Attempts that failed, that were parked without having failed, and that were done. */
export interface Load {
  bad: number;
  parked: number;
  done: number;
}

export interface Ordered {
  line: TimelineLine;
  text: string;
  /** Attempts on its upstream in WATCH_MS before and after. */
  before: Load;
  after: Load;
  /** Alike and at once: 32 agents marked. */
  count: number;
}

export class IncidentOrders {
  readonly #orders: Ordered[] = [];
  /** By tag and ten seconds, for what is before an order. */
  readonly #load = new Map<string, (Load & { slice: number })[]>();

  since(at: number): Ordered[] {
    return this.#orders.filter(({ line }) => line.at >= at);
  }

  /** An attempt, and how it ended. */
  weigh(line: TimelineLine, kind: keyof Load): void {
    for (const ordered of this.#orders) {
      const distance = line.at - ordered.line.at;
      if (distance > 0 && distance <= WATCH_MS && isPlace(ordered.line, line)) ordered.after[kind]++;
    }
    const tag = line.tag ?? '';
    const slice = Math.floor(line.at / SLICE_MS);
    const recent = this.#load.get(tag) ?? [];
    const last = recent.at(-1);
    if (last?.slice === slice) last[kind]++;
    else recent.push({ slice, bad: 0, parked: 0, done: 0, [kind]: 1 });
    if (recent.length > WATCH_MS / SLICE_MS + 1) recent.shift();
    if (this.#load.size < MAX_TAGS) this.#load.set(tag, recent);
  }

  /** `since`: what came before may be forgotten first. */
  add(line: TimelineLine, text: string, since: number): void {
    const alike = this.#orders.findLast(
      ({ line: other }) =>
        other.what === line.what &&
        other.who === line.who &&
        other.reason === line.reason &&
        other.tag === line.tag &&
        line.at - other.at < MINUTE_MS &&
        line.what !== 'lane.noted' &&
        other.limit === line.limit &&
        other.order === line.order,
    );
    if (alike) return void alike.count++;
    const oldest = (line.at - WATCH_MS) / SLICE_MS;
    const before = { bad: 0, parked: 0, done: 0 };
    for (const [tag, recent] of this.#load) {
      if (line.tag !== null && tag !== line.tag) continue;
      for (const { slice, bad, parked, done } of recent) {
        if (slice < oldest) continue;
        before.bad += bad;
        before.parked += parked;
        before.done += done;
      }
    }
    this.#orders.push({ line, text, before, after: { bad: 0, parked: 0, done: 0 }, count: 1 });
    // The first of an incident and the last are what is asked for.
    if (this.#orders.length > MAX_ORDERS) {
      const old = this.#orders.findIndex((one) => one.line.at < since);
      this.#orders.splice(old < 0 ? MAX_ORDERS / 3 : old, 1);
    }
  }
}

function isPlace(ordered: TimelineLine, line: TimelineLine): boolean {
  return ordered.tag === null || ordered.tag === line.tag;
}
