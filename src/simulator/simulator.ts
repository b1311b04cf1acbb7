// What a simulator is to whoever runs one: its options, and what can be asked of it while it lives.

import type { Clock } from '../words/clock.ts';
import type { Behaviour, BehaviourChange } from './behaviour.ts';
import type { Effect } from './effects.ts';
import type { RequestRecord } from './record.ts';
import type { RulesInput } from './rules.ts';
import type { ScenarioName } from './scenarios.ts';
import type { Verdict } from './verdict.ts';

export interface SimulatorOptions {
  /** Default 0: any free one. Only on 127.0.0.1. */
  port?: number;
  /** Default 'calm'. */
  scenario?: string;
  /** Knobs set on top of the scenario. */
  behaviour?: BehaviourChange;
  /** Whole number from which all chance comes; the same one repeats a run. Default 1. */
  seed?: number;
  /** Requests kept in memory, the newest. Default 1,000,000: about half a gigabyte. */
  maxRecords?: number;
  /** A file that each finished request is appended to, as a JSON line. */
  recordTo?: string;
  /** Called once for each request, when it and its work are over. What it throws is ignored. */
  onRequest?: (record: RequestRecord) => void;
  clock?: Clock;
}

export interface Simulator {
  start(): Promise<{ url: string; port: number }>;
  /** Idempotent, allowed before start. Breaks every connection and returns when nothing runs any more. */
  stop(): Promise<void>;
  /** Every request since the start or the last reset, oldest first, those under way included. */
  readonly log: readonly RequestRecord[];
  readonly effects: readonly Effect[];
  readonly behaviour: Behaviour;
  readonly scenarioName: ScenarioName;
  /** Knobs changed on top of the scenario. */
  readonly changedKnobs: readonly string[];
  /** Changes some knobs, for requests that arrive from now on. */
  configure(change: BehaviourChange): Behaviour;
  /** Takes a scenario whole. */
  scenario(name: string): Behaviour;
  /** The log against the terms in force when each request arrived. Judging 200,000 stops the server for over half a second: ask when it is quiet. */
  verdict(terms?: { countRefused?: boolean }): Verdict;
  /** The log against given rules. */
  judge(rules: RulesInput): Verdict;
  /** Forgets log, effects, tokens, cooldowns and bans; behaviour stays. */
  reset(): void;
  /** Where it is, what it plays, how to steer it: a few lines for a terminal. */
  describe(): string;
}
