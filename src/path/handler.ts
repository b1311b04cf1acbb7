// handle: what a lane does with a job, and what it is given to do it with. No Redis, no BullMQ in sight.

import type { Logger } from 'pino';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Answer } from '../words/outcome.ts';
import { brand, definitionKind } from './definition.ts';
import type { AddOptions } from './entry.ts';
import { isLane, type Lane } from './lane.ts';
import { type OptionRules, readOptions } from './options.ts';
import type { Added } from './producer.ts';
import { isUpstream, type Upstream } from './upstream.ts';

export interface Job<P = unknown> {
  readonly id: string;
  /** The lane's name. */
  readonly lane: string;
  readonly payload: P;
  readonly agent: string | null;
  /** From 1. Waiting (a park, a leaving pod) uses none. */
  readonly attempt: number;
  readonly key: string | null;
  /** Epoch ms. */
  readonly enqueuedAt: number;
}

export interface Context {
  /** Aborted when the attempt is over: timeout, lost lock, leaving pod. Pass it to whatever waits. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly clock: Clock;
  /**
   * A number that grows with every start of this job; in a lane with one owner, or one pod, with every change of that. A resource that
   * refuses lower ones sees no late writer.
   */
  readonly fence: string;
  /** As `fetch`, relative to the upstream's base URL. Throws UpstreamError unless 2xx, 3xx or `raw`. */
  fetch(path: string, init?: RequestInit & { raw?: boolean }): Promise<Response>;
  /**
   * Runs `work` once and keeps what it returns (as JSON, up to 64 KB; 256 KB a job): a later attempt gets that instead. Steps are
   * known by name and order, each name once; they do not nest.
   */
  step<T>(name: string, work: () => Promise<T> | T): Promise<T>;
  /** As `step`, but if it fails the job goes on with the fallback (a value, or a function of the error), told once. */
  optional<T, F = T>(name: string, work: () => Promise<T> | T, fallback: F | ((error: Error) => F)): Promise<T | F>;
  /** Hands over to the next lane. An attempt that runs again adds nothing twice. */
  add<In>(lane: Lane<In, unknown>, payload: NoInfer<In>, options?: AddOptions): Promise<Added>;
  /** 0 to 100, shown by every BullMQ tool. */
  progress(percent: number): Promise<void>;
  /** Tokens that were used, as a number or as a model's answer tells them. Several calls add up; without any the lane's estimate counts. */
  spend(usage: Usage): void;
  /** The agent this attempt acts as may not act again before: the upstream said so in words that no header carries. */
  cooldown(until: Date | number | string, reason: string): void;
}

/** Whatever else stands beside these is ignored, so that an answer's own record of its usage can be handed in as it is. */
export type Usage =
  | number
  | { tokens: number }
  | { total_tokens: number }
  | { inputTokens: number; outputTokens: number }
  | { input_tokens: number; output_tokens: number }
  | { prompt_tokens: number; completion_tokens: number };

export interface HandlerOptions<P, R> {
  run(job: Job<P>, ctx: Context): Promise<R | Answer> | R | Answer;
  verify?(result: R, ctx: Context): unknown;
}

export interface Handler {
  readonly lane: Lane;
  readonly run: (job: Job, ctx: Context) => unknown;
  readonly unbuilt: readonly string[];
}

const callable = (value: unknown) => (typeof value === 'function' ? value : undefined);

export const HANDLER_RULES = {
  run: { expected: 'a function (job, ctx)', read: callable },
  verify: { expected: 'a function (result, ctx)', read: callable, optional: true, unbuilt: true },
} as const satisfies OptionRules;

export function handle<In, P, R>(lane: Lane<In, P>, options: HandlerOptions<P, R>): Handler {
  if (!isLane(lane)) {
    throw new LanekeeperError('LK_DEFINITION', `handle: expected what defineLane returned, got ${quote(lane)}`);
  }
  const { values, unbuilt } = readOptions(`handler of ${quote(lane.name)}`, HANDLER_RULES, options);
  return brand('handler', {
    lane: lane as unknown as Lane,
    run: values.run as Handler['run'],
    unbuilt: Object.freeze(unbuilt),
  });
}

export function isHandler(value: unknown): value is Handler {
  return definitionKind(value) === 'handler';
}

export interface Probe {
  readonly upstream: Upstream;
}

/** A real request now and then, for the upstreams whose health page lies. Accepted; nothing runs it yet. */
export function probe(upstream: Upstream, _options: { every: string | number; run(ctx: Context): unknown }): Probe {
  if (!isUpstream(upstream)) {
    throw new LanekeeperError('LK_DEFINITION', `probe: expected what defineUpstream returned, got ${quote(upstream)}`);
  }
  return brand('probe', { upstream });
}

export function isProbe(value: unknown): value is Probe {
  return definitionKind(value) === 'probe';
}
