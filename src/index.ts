// The front door of the package: what queues/, workers/ and other services import.

export {
  type AgentBook,
  type AgentBookOptions,
  type AgentChange,
  type AgentSeen,
  openAgents,
} from './path/agent-book.ts';
export {
  type Context,
  type Handler,
  type HandlerOptions,
  handle,
  type Job,
  type Probe,
  probe,
  type Usage,
} from './path/handler.ts';
export { defineLane, type Lane, type LaneOptions } from './path/lane.ts';
export type { LimitOptions, LimitPlanOptions } from './path/limit-plan.ts';
export type { HoldOptions, OwnerClaim, OwnerHold } from './path/owner-hold.ts';
export {
  type Added,
  type AddOptions,
  createProducer,
  type Hold,
  type Producer,
  type ProducerOptions,
} from './path/producer.ts';
export { defineUpstream, type Upstream, type UpstreamOptions } from './path/upstream.ts';
export { ERROR_CODES, type ErrorCode, LanekeeperError } from './words/errors.ts';
export { FAILURE_CLASSES, type FailureClass, UpstreamError } from './words/failure.ts';
export type { Limit, LimitPlan } from './words/limit.ts';
export { dead, park, retry } from './words/outcome.ts';
