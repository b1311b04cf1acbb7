// defineUpstream: an external API, as frozen data. What is shared by the lanes that name it lives under its name in Redis.

import type { LimitPlan } from '../words/limit.ts';
import { brand, definitionKind, NAME_FORM, toName } from './definition.ts';
import { AGENT_FORM, isAgentName } from './envelope.ts';
import { LIMITS_FORM, type LimitPlanOptions, toLimitPlan } from './limit-plan.ts';
import { type OptionRules, readOptions } from './options.ts';

export interface UpstreamOptions {
  name: string;
  /** Where `ctx.fetch` sends to. May come from the environment, and be absent where no handler runs. */
  baseUrl?: string | undefined;
  /** Headers sent on every request: pin an API version here, so that a gradual rollout cannot answer from two. */
  pins?: Record<string, string>;
  /** Whether it honours `Idempotency-Key`. Default true: an unknown header harms nobody, a doubled post does. */
  idempotency?: boolean;
  /** All must allow; shared by every lane and pod that names this upstream. Default: none. */
  limits?: LimitPlanOptions;
  /** On whose behalf jobs may act. Others may be registered while it runs. */
  agents?: readonly string[];
  breaker?: unknown;
  resources?: unknown;
  prices?: unknown;
}

export interface Upstream {
  readonly name: string;
  readonly baseUrl: string | undefined;
  readonly pins: Readonly<Record<string, string>>;
  readonly idempotency: boolean;
  readonly limits: LimitPlan | undefined;
  readonly agents: readonly string[];
  readonly unbuilt: readonly string[];
}

const kept = (expected: string) =>
  ({ expected, read: (value: unknown) => value, optional: true, unbuilt: true }) as const;

export const UPSTREAM_RULES = {
  name: { expected: NAME_FORM, read: toName },
  baseUrl: { expected: "an http or https address, such as 'https://api.example.com'", read: toBaseUrl, optional: true },
  pins: { expected: 'header names with text values', read: toHeaders, preset: Object.freeze({}) },
  idempotency: {
    expected: 'true or false',
    read: (value: unknown) => (typeof value === 'boolean' ? value : undefined),
    preset: true,
  },
  limits: { expected: LIMITS_FORM, read: toLimitPlan, optional: true },
  agents: { expected: `a list of different names, each ${AGENT_FORM}`, read: toAgents, preset: Object.freeze([]) },
  breaker: kept('a breaker'),
  resources: kept('a list of resources'),
  prices: kept('prices'),
} as const satisfies OptionRules;

export function defineUpstream(options: UpstreamOptions): Upstream {
  const { values, unbuilt } = readOptions('upstream', UPSTREAM_RULES, options);
  const { name, baseUrl, pins, idempotency, limits, agents } = values;
  return brand('upstream', { name, baseUrl, pins, idempotency, limits, agents, unbuilt: Object.freeze(unbuilt) });
}

export function isUpstream(value: unknown): value is Upstream {
  return definitionKind(value) === 'upstream';
}

function toBaseUrl(value: unknown): string | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const { protocol, search, hash } = new URL(value);
  // A path is put behind it: what follows a path in an address has no place in a base.
  return /^https?:$/.test(protocol) && !search && !hash ? value.replace(/\/+$/, '') : undefined;
}

function toAgents(value: unknown): readonly string[] | undefined {
  const isList = Array.isArray(value) && value.every(isAgentName) && new Set(value).size === value.length;
  return isList ? Object.freeze([...value]) : undefined;
}

function toHeaders(value: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  try {
    new Headers(value as Record<string, string>);
  } catch {
    return undefined;
  }
  const entries = Object.entries(value);
  return entries.every(([, text]) => typeof text === 'string') ? Object.freeze(Object.fromEntries(entries)) : undefined;
}
