// A failed attempt as one text in the stack list that BullMQ keeps with the job: its first line says class, attempt, pod,
// agent and instant, the rest is the error's own stack. So BullMQ's move to `failed` is the one write of a dead letter.

import { toInstant } from '../words/clock.ts';
import { FAILURE_CLASSES, type FailureClass } from '../words/failure.ts';

/** The history of a job that is replayed again and again stays readable, and a deep stack does not fill Redis. */
const MAX_STACKS = 20;
const MAX_STACK_CHARS = 8_192;

export interface StackFacts {
  class: FailureClass;
  attempt: number;
  attempts: number;
  pod: string;
  agent: string | null;
  at: number;
}

const FIRST_LINE = /^\[([a-z-]+)\] attempt (\d+) of (\d+) on (\S+)(?: as (\S+))? at (\S+)$/;

export function appendStack(existing: string | undefined, facts: StackFacts, error: Error): string {
  // Encoded, so that whatever a plain producer calls its agent stays one word of one line.
  const agent = facts.agent === null ? '' : ` as ${encodeURI(facts.agent.toWellFormed())}`;
  const first = `[${facts.class}] attempt ${facts.attempt} of ${facts.attempts} on ${facts.pod}${agent} at ${toInstant(facts.at)}`;
  const cause = error.cause instanceof Error ? `\nCaused by: ${traceOf(error.cause)}` : '';
  const text = `${first}\n${traceOf(error)}${cause}`.slice(0, MAX_STACK_CHARS);
  return JSON.stringify([...parseStacks(existing), text].slice(-MAX_STACKS));
}

function traceOf(error: Error): string {
  try {
    const { stack, message } = error;
    return typeof stack === 'string' ? stack : typeof message === 'string' ? message : '';
  } catch {
    return 'an Error that throws when it is looked at';
  }
}

/** The stack list of a job; empty for whatever is not one. */
export function parseStacks(json: string | undefined): string[] {
  if (!json) return [];
  try {
    const list: unknown = JSON.parse(json);
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];
  } catch {
    return [];
  }
}

/** The facts in a stack's first line; undefined when somebody else wrote it. */
export function readStack(text: string): (StackFacts & { trace: string }) | undefined {
  const [first = '', ...rest] = text.split('\n');
  const match = FIRST_LINE.exec(first);
  if (!match) return undefined;
  const [, name, attempt, attempts, pod, agent, at] = match as unknown as string[];
  return {
    class: FAILURE_CLASSES.find((known) => known === name) ?? 'fatal',
    attempt: Number(attempt),
    attempts: Number(attempts),
    pod: pod as string,
    agent: agent === undefined ? null : decodeURI(agent),
    at: Date.parse(at as string),
    trace: rest.join('\n'),
  };
}
