// What stands in a job's data: the payload, or our envelope around it. Plain producers write either; ours always the envelope.

import { quote, toError } from '../words/errors.ts';

export interface Envelope {
  lk: 1;
  payload: unknown;
  agent?: string;
  key?: string;
}

export interface Opened {
  /** As sent; no schema has seen it yet. */
  payload: unknown;
  agent: string | null;
  key: string | null;
  /** What is wrong with the data itself. Such a job is refused at admission, and looks like this until then. */
  malformed: string | undefined;
}

export function openEnvelope(data: string): Opened {
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch (error) {
    return { payload: data, agent: null, key: null, malformed: `data: expected JSON: ${toError(error).message}` };
  }
  if (typeof parsed !== 'object' || parsed === null || (parsed as Envelope).lk !== 1) {
    return { payload: parsed, agent: null, key: null, malformed: undefined };
  }
  const { payload, agent = null, key = null } = parsed as { payload: unknown; agent?: unknown; key?: unknown };
  const isAgentGood = agent === null || isAgentName(agent);
  const isKeyGood = key === null || isKey(key);
  return {
    payload,
    agent: isAgentGood ? agent : null,
    key: isKeyGood ? key : null,
    malformed:
      isAgentGood && isKeyGood
        ? undefined
        : [
            ...(isAgentGood ? [] : [`agent: expected ${AGENT_FORM}, got ${quote(agent)}`]),
            ...(isKeyGood ? [] : [`key: expected ${KEY_FORM}, got ${quote(key)}`]),
          ].join('; '),
  };
}

/** Agents stand in headers, labels and first lines of stacks: no blanks, nothing that starts like an option. */
export const AGENT_FORM = "1 to 128 letters, digits, '.', '_', '@' or '-'";

export function isAgentName(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/.test(value);
}

export const KEY_FORM = 'a text of 1 to 256 characters';

export function isKey(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= 256;
}
