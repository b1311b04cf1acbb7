// What an act through a lane costs its agent: the lane's option `agent`.

import { DURATION_FORM, toDurationMs } from './definition.ts';

export interface AgentTerms {
  readonly cooldownMs: number;
  /** Which attempts are acts: each that sent something, or only one that ended done. */
  readonly charge: 'attempt' | 'success';
}

export const AGENT_TERMS_FORM = `{ cooldown: ${DURATION_FORM}, at most '1000d', charge: 'attempt' or 'success' }`;
const MAX_COOLDOWN_MS = 1_000 * 86_400_000;
const CHARGES = ['attempt', 'success'];

export function toAgentTerms(value: unknown): AgentTerms | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { cooldown, charge = 'attempt', ...rest } = value as Record<string, unknown>;
  const cooldownMs = toDurationMs(cooldown);
  const isUsable = cooldownMs !== undefined && cooldownMs <= MAX_COOLDOWN_MS && CHARGES.includes(charge as string);
  if (!isUsable || Object.keys(rest).length > 0) return undefined;
  return Object.freeze({ cooldownMs, charge: charge as AgentTerms['charge'] });
}
