// Who is inside now, and each agent's cooldown and ban. `enter` and `leave` bracket every request that counts; `check` is
// asked at arrival and is the only place where a ban begins and grows.

export interface CooldownTerms {
  readonly cooldown: number | null;
  readonly cooldownOn: 'all' | 'writes';
  readonly banFor: number;
  readonly banGrowth: number;
  readonly banMax: number;
}

export interface CooldownRefusal {
  readonly by: 'cooldown' | 'ban';
  /** From when the ban, or what is known of the cooldown, is over. */
  readonly untilAt: number;
}

export interface Visit {
  readonly agent: string | null;
  readonly isWrite: boolean;
}

export interface AgentBook {
  /** Requests under way that count. */
  readonly openCount: number;
  openCountOf(agent: string): number;
  enter(visit: Visit): void;
  leave(visit: Visit, at: number): void;
  check(visit: Visit, at: number, terms: CooldownTerms): CooldownRefusal | null;
}

interface Acts {
  openCount: number;
  lastEndAt: number;
}

interface AgentState {
  /** Two ledgers, so that turning `cooldownOn` while it runs finds the past as it was. */
  readonly all: Acts;
  readonly writes: Acts;
  bannedUntilAt: number;
  banMs: number;
}

export function createAgentBook(): AgentBook {
  const agents = new Map<string, AgentState>();
  let openCount = 0;

  function stateOf(agent: string): AgentState {
    let state = agents.get(agent);
    if (!state) {
      const acts = () => ({ openCount: 0, lastEndAt: -Infinity });
      state = { all: acts(), writes: acts(), bannedUntilAt: -Infinity, banMs: 0 };
      agents.set(agent, state);
    }
    return state;
  }

  function ledgersOf(visit: Visit): Acts[] {
    if (visit.agent === null) return [];
    const { all, writes } = stateOf(visit.agent);
    return visit.isWrite ? [all, writes] : [all];
  }

  return {
    get openCount() {
      return openCount;
    },
    openCountOf: (agent) => agents.get(agent)?.all.openCount ?? 0,
    enter(visit) {
      openCount += 1;
      for (const acts of ledgersOf(visit)) acts.openCount += 1;
    },
    leave(visit, at) {
      openCount -= 1;
      for (const acts of ledgersOf(visit)) {
        acts.openCount -= 1;
        acts.lastEndAt = at;
      }
    },
    check(visit, at, terms) {
      if (terms.cooldown === null || visit.agent === null) return null;
      if (terms.cooldownOn === 'writes' && !visit.isWrite) return null;
      const state = stateOf(visit.agent);
      const acts = state[terms.cooldownOn];
      const isBanned = at < state.bannedUntilAt;
      if (!isBanned && acts.openCount === 0 && at - acts.lastEndAt >= terms.cooldown) return null;
      if (terms.banFor > 0) {
        // A ban that was served keeps its size: the next offence is the next step up.
        state.banMs = Math.min(state.banMs > 0 ? state.banMs * terms.banGrowth : terms.banFor, terms.banMax);
        state.bannedUntilAt = at + state.banMs;
      }
      const cooledAt = (acts.openCount > 0 ? at : acts.lastEndAt) + terms.cooldown;
      return { by: isBanned ? 'ban' : 'cooldown', untilAt: Math.max(state.bannedUntilAt, cooledAt) };
    },
  };
}
