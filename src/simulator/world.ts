// Everything this upstream remembers: its log, who is inside, tokens, effects, and the terms that held since when. A reset
// makes a new world; a request still under way ends in the old one, where nobody looks any more.

import { type AgentBook, createAgentBook } from './agents.ts';
import type { Behaviour } from './behaviour.ts';
import { createEffectBook, type EffectBook } from './effects.ts';
import { createFenceBook, type FenceBook } from './fences.ts';
import type { Era } from './judge.ts';
import { createLimitGate, type LimitGate } from './limit-gate.ts';
import { isRate } from './limits.ts';
import { createRecordBook, type RecordBook, type RequestRecord } from './record.ts';

export interface World {
  readonly startedAt: number;
  readonly records: RecordBook;
  readonly agents: AgentBook;
  readonly fences: FenceBook;
  readonly effects: EffectBook;
  readonly gate: LimitGate;
  readonly eras: readonly Era[];
  /** The next request's turn, from which its luck is drawn: a reset world repeats itself. */
  nextTurn(): number;
  /** New terms from an instant on. Limits keep what arrived before it in mind. */
  adopt(behaviour: Behaviour, at: number): void;
}

export function createWorld(behaviour: Behaviour, startedAt: number, maxRecords: number): World {
  const records = createRecordBook(maxRecords);
  const agents = createAgentBook();
  let eras = [toEra(behaviour, startedAt)];
  let gate = createLimitGate(behaviour.limits, agents, []);
  let turn = 0;
  return {
    startedAt,
    records,
    agents,
    fences: createFenceBook(maxRecords),
    effects: createEffectBook(maxRecords),
    get gate() {
      return gate;
    },
    get eras() {
      return eras;
    },
    nextTurn() {
      turn += 1;
      return turn;
    },
    adopt(changed, at) {
      const era = toEra(changed, at);
      const terms = (one: Era) => JSON.stringify({ ...one, fromAt: 0 });
      if (terms(era) === terms(eras.at(-1)!)) return;
      eras = [...eras, era];
      gate = createLimitGate(changed.limits, agents, recentRecords(records.all, changed, at));
    },
  };
}

function toEra({ limits, cooldown, cooldownOn, countRefused }: Behaviour, fromAt: number): Era {
  return { fromAt, limits, cooldown, cooldownOn, countRefused };
}

/** What arrived within the longest window and counts, oldest first. */
function recentRecords(
  all: readonly RequestRecord[],
  { limits, countRefused }: Behaviour,
  at: number,
): RequestRecord[] {
  const longestMs = Math.max(0, ...limits.filter(isRate).map((limit) => limit.per));
  let first = all.length;
  while (first > 0 && at - all[first - 1]!.arrivedAt < longestMs) first -= 1;
  return all.slice(first).filter((record) => record.counted && (countRefused || record.refusedBy === null));
}
