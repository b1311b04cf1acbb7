// The front door of the stand-in upstream.

export type { Behaviour, BehaviourChange, ResetPoint, Rollout } from './behaviour.ts';
export { changeBehaviour, DEFAULT_BEHAVIOUR } from './behaviour.ts';
export type { Effect } from './effects.ts';
export type { Era } from './judge.ts';
export { judge, judgeEras } from './judge.ts';
export type { LimitInput } from './limits.ts';
export type { Outcome, Refusal, RequestRecord } from './record.ts';
export { readRecordFile } from './record-file.ts';
export type { RulesInput } from './rules.ts';
export type { ScenarioName } from './scenarios.ts';
export { listScenarios, SCENARIOS, scenarioNames } from './scenarios.ts';
export { createSimulator } from './server.ts';
export type { Simulator, SimulatorOptions } from './simulator.ts';
export type { Conviction, Gap, Interval, RuleName, Summary, Verdict } from './verdict.ts';
export { describeVerdict } from './verdict.ts';
