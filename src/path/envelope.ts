// What stands in a job's data: the payload, or our envelope around it. Plain producers write either; ours always the envelope.

import { firstLine, quote } from '../words/errors.ts';
import { findUnfit } from './data-text.ts';

export interface Envelope {
  lk: 1;
  payload: unknown;
  agent?: string;
  key?: string;
  /** '<lane>/<job id>' of the job that handed over to this one. */
  parent?: string;
}

/** A test compares it with the interface above. */
export const ENVELOPE_FIELDS = ['lk', 'payload', 'agent', 'key', 'parent'];

/** Each unknown field is named, up to so many: a reason is kept with the job. */
const MAX_STRANGERS = 100;

export interface Opened {
  /** As sent; no schema has seen it yet. */
  payload: unknown;
  agent: string | null;
  key: string | null;
  parent: string | null;
  /** What is wrong with the data itself. Such a job is refused at admission, and looks like this until then. */
  malformed: string | undefined;
}

export function openEnvelope(data: string): Opened {
  const bare = { agent: null, key: null, parent: null };
  const unfit = findUnfit(data);
  // Its text as it is: whoever shows or stores such a job must not choke on it either.
  if (unfit) return { payload: data.slice(0, 1_000), ...bare, malformed: `data: ${unfit}` };
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch (error) {
    return { payload: data, ...bare, malformed: `data: expected JSON: ${firstLine(error)}` };
  }
  if (typeof parsed !== 'object' || parsed === null || (parsed as Envelope).lk !== 1) {
    return { payload: parsed, ...bare, malformed: undefined };
  }
  return openOurs(parsed as Record<string, unknown>);
}

function openOurs(envelope: Record<string, unknown>): Opened {
  const { payload, agent = null, key = null, parent = null } = envelope;
  const isAgentGood = agent === null || isAgentName(agent);
  const isKeyGood = key === null || isKey(key);
  const isParentGood = parent === null || isParent(parent);
  let problems: string[] | undefined;
  const complain = (problem: string) => {
    problems ??= [];
    problems.push(problem);
  };
  for (const name in envelope) {
    if (ENVELOPE_FIELDS.includes(name)) continue;
    const isPlain = /^[\w.-]{1,80}$/.test(name);
    if ((problems?.length ?? 0) < MAX_STRANGERS)
      complain(`data.${isPlain ? name : quote(name)}: expected one of ${ENVELOPE_FIELDS.join(', ')}`);
  }
  if (!('payload' in envelope)) complain('data.payload: expected the payload, got nothing');
  if (!isAgentGood) complain(`agent: expected ${AGENT_FORM}, got ${quote(agent)}`);
  if (!isKeyGood) complain(`key: expected ${KEY_FORM}, got ${quote(key)}`);
  if (!isParentGood) complain(`parent: expected '<lane>/<job id>', got ${quote(parent)}`);
  return {
    payload,
    agent: isAgentGood ? agent : null,
    key: isKeyGood ? key : null,
    parent: isParentGood ? parent : null,
    malformed: problems?.join('; '),
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

function isParent(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z0-9][a-z0-9_-]{0,62}\/[A-Za-z0-9_-]{1,100}$/.test(value);
}
