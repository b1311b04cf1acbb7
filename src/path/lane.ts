// defineLane: a named queue and its policy, as frozen data. What each option means and its default stand in one table.

import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RetryPolicy } from '../policies/retry.ts';
import type { Duration } from '../words/duration.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { LaneAddress } from '../words/keys.ts';
import type { Displaced } from '../words/owner.ts';
import { AGENT_TERMS_FORM, type AgentTerms, toAgentTerms } from './agent-terms.ts';
import type { Dedupe } from './dedupe.ts';
import {
  brand,
  DURATION_FORM,
  definitionKind,
  NAME_FORM,
  toCount,
  toDurationMs,
  toName,
  toPositiveMs,
} from './definition.ts';
import { type LimitShare, listMisfits, SHARE_RULES } from './limit-share.ts';
import { type OptionRules, readOptions } from './options.ts';
import { isUpstream, type Upstream } from './upstream.ts';

export interface Retention {
  readonly keepMs: number;
  readonly max: number;
}

export interface LaneOptions<S extends StandardSchemaV1> {
  name: string;
  upstream?: Upstream;
  payload?: S;
  /** Jobs of this lane that one pod runs at a time. Default 8. */
  concurrency?: number;
  /** For jobs that give none. Lower runs sooner, 0 first. Default 0. */
  priority?: number;
  retry?: { attempts?: number; backoff?: Duration[]; jitter?: number };
  /** An attempt that takes longer is aborted and counts as failed. Default '60s'. */
  timeout?: Duration;
  done?: { keep?: Duration; max?: number };
  dead?: { keep?: Duration; max?: number };
  /** Where an operator reads what to do: a path or an address, shown beside every dead letter. */
  runbook?: string;
  /**
   * Each job acts as an agent of the upstream. An act costs `cooldown`, from its last answer on: every attempt that sent something
   * (`charge: 'attempt'`, the default), or only one that ended done (`'success'`).
   */
  agent?: { cooldown: Duration; charge?: 'attempt' | 'success' };
  /** 'exclusive': fed by one owner at a time, who takes it first. Default 'open'. */
  ownership?: 'open' | 'exclusive';
  /** What becomes of an owner's jobs when another takes the lane: they wait for it ('park', the default), or run on. */
  displaced?: Displaced;
  /** 'one': a single pod runs it at a time, others stand by. Default 'all'. */
  pods?: 'all' | 'one';
  /** Jobs that may wait (parked and scheduled ones too); full, adds are refused with LK_BACKLOG_FULL. Default 1,000,000. */
  backlog?: number;
  /** What makes two jobs the same, and for how long (default '24h'). Default: the key that `add` is given. */
  dedupe?: DedupeOption<StandardSchemaV1.InferInput<S>>;
  /** A job that waits longer than this is told as overdue. Default: never. */
  due?: Duration;
  /** Its part of the upstream's limits beside other lanes that wait: 2 gets twice as much as 1. Default 1. */
  weight?: number;
  /** Requests that one attempt may have under way at once, each of which holds a piece of `concurrent`. Default 1. */
  requests?: number;
  /** What an attempt is expected to use, where the upstream limits tokens: a function sees what the handler will see. */
  tokens?: number | ((payload: StandardSchemaV1.InferOutput<S>) => number);
}

/** A function answers a text; what has the same text is the same job. false: not even the same key is. */
type DedupeRule<In> = 'key' | 'content' | ((payload: In) => string);
type DedupeOption<In> = DedupeRule<In> | { by?: DedupeRule<In>; for?: Duration } | false;

export interface Lane<In = unknown, Out = In> extends LaneAddress, LimitShare {
  readonly upstream: Upstream | undefined;
  readonly payload: StandardSchemaV1<In, Out> | undefined;
  readonly concurrency: number;
  readonly priority: number;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  readonly backlog: number;
  readonly dueMs: number | undefined;
  readonly done: Retention;
  readonly dead: Retention;
  readonly dedupe: Dedupe | undefined;
  readonly agent: AgentTerms | undefined;
  readonly ownership: 'open' | 'exclusive';
  readonly displaced: Displaced;
  readonly pods: 'all' | 'one';
  readonly runbook: string | undefined;
  readonly unbuilt: readonly string[];
}

/** BullMQ keeps a priority in 21 bits. */
export const MAX_PRIORITY = 2 ** 21 - 1;

const MAX_ATTEMPTS = 100;
const RETRY: RetryPolicy = Object.freeze({ attempts: 4, backoffMs: Object.freeze([2_000, 4_000, 8_000]), jitter: 0.2 });
export const DEDUPE: Dedupe = Object.freeze({ by: 'key', forMs: 24 * 3_600_000 });
const DONE: Retention = Object.freeze({ keepMs: 24 * 3_600_000, max: 100_000 });
const DEAD: Retention = Object.freeze({ keepMs: 30 * 24 * 3_600_000, max: 100_000 });

const oneOf =
  <const T extends string>(...words: readonly T[]) =>
  (value: unknown): T | undefined =>
    words.find((word) => word === value);

export const LANE_RULES = {
  name: { expected: NAME_FORM, read: toName },
  upstream: { expected: 'what defineUpstream returned', read: (v) => (isUpstream(v) ? v : undefined), optional: true },
  payload: { expected: 'a schema with ~standard (zod, valibot, arktype, …)', read: toSchema, optional: true },
  concurrency: { expected: 'a whole number from 1 to 10000', read: toCount(1, 10_000), preset: 8 },
  priority: { expected: `a whole number from 0 to ${MAX_PRIORITY}`, read: toCount(0, MAX_PRIORITY), preset: 0 },
  retry: {
    expected: '{ attempts: 1 to 100, backoff: [1 to 100 durations], jitter: 0 to 1 }',
    read: toRetry,
    preset: RETRY,
  },
  timeout: { expected: `${DURATION_FORM}, more than 0`, read: toPositiveMs, preset: 60_000 },
  // Done jobs answer for repeated keys, so they are never kept for less than a minute: at 15,000 jobs/s a small count
  // alone would forget them within the second.
  done: { expected: "{ keep: at least '1m', max: 1 to 10000000 }", read: toRetention(DONE, 60_000), preset: DONE },
  dead: { expected: "{ keep: at least '1h', max: 1 to 10000000 }", read: toRetention(DEAD, 3_600_000), preset: DEAD },
  runbook: { expected: 'a path or address of one line', read: toLine, optional: true },
  agent: { expected: AGENT_TERMS_FORM, read: toAgentTerms, optional: true },
  ownership: { expected: "'open' or 'exclusive'", read: oneOf('open', 'exclusive'), preset: 'open' },
  displaced: { expected: "'park' or 'drain'", read: oneOf('park', 'drain'), optional: true },
  pods: { expected: "'all' or 'one'", read: oneOf('all', 'one'), preset: 'all' },
  backlog: { expected: 'a whole number from 1 to 1000000000', read: toCount(1, 1_000_000_000), preset: 1_000_000 },
  dedupe: {
    expected: "'key', 'content', a function, { by, for: at least '1s' } or false",
    read: toDedupe,
    preset: { rule: DEDUPE },
  },
  due: { expected: `${DURATION_FORM}, more than 0`, read: toPositiveMs, optional: true },
  ...SHARE_RULES,
} as const satisfies OptionRules;

export function defineLane<S extends StandardSchemaV1 = StandardSchemaV1<unknown>>(
  options: LaneOptions<S>,
): Lane<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>> {
  const { values, unbuilt } = readOptions('lane', LANE_RULES, options);
  const { name, upstream, payload, concurrency, priority, retry, timeout, backlog, due, done, dead, dedupe, runbook } =
    values;
  const { weight, requests, tokens, agent, ownership, displaced, pods } = values;
  const misfits = listMisfits({ weight, requests, tokens }, upstream);
  if (agent && !upstream) misfits.push('agent: expected an upstream beside it, whose agents they are, got none');
  if (displaced !== undefined && ownership !== 'exclusive') {
    misfits.push(`displaced: expected ownership 'exclusive' beside it, got ${quote(ownership)}`);
  }
  if (misfits.length > 0) throw new LanekeeperError('LK_DEFINITION', `lane ${quote(name)}: ${misfits.join('; ')}`);
  return brand('lane', {
    name,
    tag: upstream?.name ?? name,
    upstream,
    payload: payload as StandardSchemaV1<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>> | undefined,
    concurrency,
    priority,
    retry,
    timeoutMs: timeout,
    backlog,
    dueMs: due,
    done,
    dead,
    dedupe: dedupe.rule,
    agent,
    ownership,
    displaced: displaced ?? 'park',
    pods,
    runbook,
    weight,
    requests,
    tokens,
    unbuilt: Object.freeze(unbuilt),
  });
}

export function isLane(value: unknown): value is Lane {
  return definitionKind(value) === 'lane';
}

function toSchema(value: unknown): StandardSchemaV1 | undefined {
  // arktype's types are functions.
  const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function';
  const standard = isHolder ? (value as StandardSchemaV1)['~standard'] : undefined;
  return typeof standard?.validate === 'function' ? (value as StandardSchemaV1) : undefined;
}

function toLine(value: unknown): string | undefined {
  return typeof value === 'string' && /^[^\p{Cc}]{1,500}$/u.test(value) ? value : undefined;
}

function hasOnly(value: unknown, ...keys: string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).every((key) => keys.includes(key));
}

function toRetry(value: unknown): RetryPolicy | undefined {
  if (!hasOnly(value, 'attempts', 'backoff', 'jitter')) return undefined;
  const attempts = toCount(1, MAX_ATTEMPTS)(value.attempts ?? RETRY.attempts);
  const given = value.backoff ?? RETRY.backoffMs;
  const isList = Array.isArray(given) && given.length > 0 && given.length <= MAX_ATTEMPTS;
  const backoffMs = isList ? given.map(toDurationMs) : [undefined];
  const jitter = value.jitter ?? RETRY.jitter;
  if (attempts === undefined || backoffMs.includes(undefined)) return undefined;
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) return undefined;
  return Object.freeze({ attempts, backoffMs: Object.freeze(backoffMs as number[]), jitter });
}

/** In a holder, because undefined means "not usable" to who reads options, and no dedupe to us. */
function toDedupe(value: unknown): { rule: Dedupe | undefined } | undefined {
  if (value === false) return { rule: undefined };
  if (value === 'key' || value === 'content' || typeof value === 'function') {
    return { rule: Object.freeze({ ...DEDUPE, by: value as Dedupe['by'] }) };
  }
  if (!hasOnly(value, 'by', 'for')) return undefined;
  const rule = value.by === undefined || value.by ? toDedupe(value.by ?? DEDUPE.by)?.rule : undefined;
  const forMs = toDurationMs(value.for ?? DEDUPE.forMs);
  return rule === undefined || forMs === undefined || forMs < 1_000
    ? undefined
    : { rule: Object.freeze({ ...rule, forMs }) };
}

function toRetention(preset: Retention, leastMs: number): (value: unknown) => Retention | undefined {
  return (value) => {
    if (!hasOnly(value, 'keep', 'max')) return undefined;
    const keepMs = toDurationMs(value.keep ?? preset.keepMs);
    const max = toCount(1, 10_000_000)(value.max ?? preset.max);
    return keepMs === undefined || keepMs < leastMs || max === undefined ? undefined : Object.freeze({ keepMs, max });
  };
}
