// The limits as this upstream enforces them, by the judge's own rule: an arrival is refused when, with it, more are under
// way than are allowed at once, or more arrived within the last `per` than are allowed (an arrival exactly `per` ago is out).

import type { AgentBook } from './agents.ts';
import { isRate, type Limit, type RateLimit } from './limits.ts';
import type { RequestRecord } from './record.ts';

export interface LimitRefusal {
  readonly by: 'concurrent' | 'rate';
  /** For a rate, the instant from which the next arrival is in order; null for a concurrent limit, where nobody knows. */
  readonly untilAt: number | null;
}

/** What an answer says of the limit that has the least left. */
export interface LimitState {
  readonly limit: number;
  readonly remaining: number;
  /** Until more of it is left; null for a concurrent limit, where nobody knows. */
  readonly resetMs: number | null;
}

export interface LimitRuling {
  readonly refusal: LimitRefusal | null;
  readonly state: LimitState | null;
}

export interface LimitGate {
  /** Weighs an arrival; changes nothing. `counts` says whether it will count even if it is refused. */
  weigh(agent: string | null, at: number, counts: boolean): LimitRuling;
  /** Takes note of an arrival that counts. */
  count(agent: string | null, at: number): void;
}

/** Arrivals within one limit's window, oldest first. The front is a moving index: shifting an array of 10,000 is slow. */
interface Window {
  arrivals: number[];
  first: number;
}

const EVERYBODY = '';

export function createLimitGate(
  limits: readonly Limit[],
  agents: AgentBook,
  past: readonly RequestRecord[],
): LimitGate {
  const rates = limits.filter(isRate).map((limit) => ({ limit, windows: new Map<string, Window>() }));

  function windowOf(rate: (typeof rates)[number], agent: string | null, at: number): Window | undefined {
    if (rate.limit.by === 'agent' && agent === null) return undefined;
    const key = rate.limit.by === 'agent' ? `agent ${agent}` : EVERYBODY;
    let window = rate.windows.get(key);
    if (!window) {
      window = { arrivals: [], first: 0 };
      rate.windows.set(key, window);
    }
    while (window.first < window.arrivals.length && at - window.arrivals[window.first]! >= rate.limit.per)
      window.first++;
    if (window.first > 1_024 && window.first * 2 > window.arrivals.length) {
      window.arrivals.splice(0, window.first);
      window.first = 0;
    }
    return window;
  }

  function count(agent: string | null, at: number): void {
    for (const rate of rates) windowOf(rate, agent, at)?.arrivals.push(at);
  }

  function weigh(agent: string | null, at: number, counts: boolean): LimitRuling {
    let refusal: LimitRefusal | null = null;
    let state: LimitState | null = null;
    for (const rate of rates) {
      const window = windowOf(rate, agent, at);
      if (!window) continue;
      const { count: allowed, per } = rate.limit;
      const seen = window.arrivals.length - window.first;
      const remaining = Math.max(0, allowed - seen - 1);
      const resetMs = (seen > 0 ? window.arrivals[window.first]! : at) + per - at;
      if (!state || remaining < state.remaining) state = { limit: allowed, remaining, resetMs };
      if (seen < allowed) continue;
      const untilAt = freeAt(window, rate.limit, at, counts);
      if (!refusal || untilAt > refusal.untilAt!) refusal = { by: 'rate', untilAt };
    }
    if (refusal) return { refusal, state };
    for (const limit of limits) {
      if (isRate(limit) || (limit.by === 'agent' && agent === null)) continue;
      const open = limit.by === 'agent' && agent !== null ? agents.openCountOf(agent) : agents.openCount;
      if (open < limit.concurrent) continue;
      return {
        refusal: { by: 'concurrent', untilAt: null },
        state: { limit: limit.concurrent, remaining: 0, resetMs: null },
      };
    }
    return { refusal: null, state };
  }

  for (const record of past) count(record.agent, record.arrivedAt);
  return { weigh, count };
}

/** When the next arrival will be in order: once the `count`-th newest, this one included if it counts, is `per` ago. */
function freeAt(window: Window, limit: RateLimit, at: number, counts: boolean): number {
  const back = counts ? limit.count - 1 : limit.count;
  return (back === 0 ? at : window.arrivals[window.arrivals.length - back]!) + limit.per;
}
