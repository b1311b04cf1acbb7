// One job to be written, checked whole: the payload by the lane's schema, the options by name, the data as the very text that
// will stand in Redis. Whatever is wrong is said here, before anything is written.

import type { JobJson, JobsOptions } from 'bullmq';
import { checkPayload } from '../policies/intake.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import { INSTANT_FORM, toEpochMs } from '../words/instant.ts';
import { AGENT_FORM, type Envelope, isAgentName, isKey, KEY_FORM } from './envelope.ts';
import { keyedJobId, newJobId } from './job-id.ts';
import { type Lane, MAX_PRIORITY } from './lane.ts';

export interface AddOptions {
  /** On whose behalf. */
  agent?: string | undefined;
  /** Lower runs sooner, 0 first. Default: the lane's. */
  priority?: number | undefined;
  /** The same key adds the job once while it is kept. At most 256 characters. */
  key?: string | undefined;
  /** Not before this instant. */
  at?: Date | number | string | undefined;
}

export interface Entry {
  readonly job: JobJson;
  readonly isKeyed: boolean;
  /** Epoch ms; null when it may run at once. */
  readonly startsAt: number | null;
}

/** `where` says which item of many, for the complaint. */
export async function toEntry(
  lane: Lane,
  payload: unknown,
  given: AddOptions,
  where: string,
  nowAt: number,
): Promise<Entry> {
  const { agent, key, priority = lane.priority, at } = readAddOptions(given, where);
  const checked = checkPayload(lane.payload, payload);
  const intake = checked instanceof Promise ? await checked : checked;
  if (!intake.ok)
    throw new LanekeeperError('LK_INPUT', `${where}lane ${quote(lane.name)}: ${intake.problems.join('; ')}`);
  const delay = at === undefined ? 0 : Math.max(0, at - nowAt);
  // Stored as sent: the schema's defaults and transforms run once, at the pod.
  const envelope: Envelope = { lk: 1, payload, ...(agent && { agent }), ...(key && { key }) };
  const opts: JobsOptions = {
    attempts: lane.retry.attempts,
    timestamp: nowAt,
    ...(delay > 0 && { delay }),
    ...(priority > 0 && { priority }),
  };
  const job = {
    id: key === undefined ? newJobId(nowAt) : keyedJobId(lane.name, key),
    name: lane.name,
    data: toText(envelope, where),
    opts,
    timestamp: nowAt,
  } as JobJson;
  return { job, isKeyed: key !== undefined, startsAt: delay > 0 ? nowAt + delay : null };
}

function toText(envelope: Envelope, where: string): string {
  let text: string;
  try {
    text = JSON.stringify(envelope);
  } catch (thrown) {
    // A circle, a BigInt, a depth that overflows the stack, a toJSON of the caller's that throws.
    const [said] = toError(thrown).message.split('\n');
    throw new LanekeeperError('LK_INPUT', `${where}payload: expected what JSON can hold: ${said}`, { cause: thrown });
  }
  // JSON.stringify leaves these out without a word.
  if (['undefined', 'function', 'symbol'].includes(typeof envelope.payload)) {
    throw wrongOption('LK_INPUT', `${where}payload`, 'what JSON can hold', envelope.payload);
  }
  return text;
}

function readAddOptions(given: AddOptions, where: string): Omit<AddOptions, 'at'> & { at?: number | undefined } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrongOption('LK_INPUT', `${where}options`, '{ agent, priority, key, at }', given);
  }
  const { agent, key, priority, at, ...rest } = given;
  const [stranger] = Object.keys(rest);
  if (stranger !== undefined) {
    throw new LanekeeperError('LK_INPUT', `${where}${quote(stranger)}: expected one of agent, priority, key, at`);
  }
  if (agent !== undefined && !isAgentName(agent)) {
    throw wrongOption('LK_INPUT', `${where}agent`, AGENT_FORM, agent);
  }
  if (key !== undefined && !isKey(key)) {
    throw wrongOption('LK_INPUT', `${where}key`, KEY_FORM, key);
  }
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY)) {
    throw wrongOption('LK_INPUT', `${where}priority`, `a whole number from 0 to ${MAX_PRIORITY}`, priority);
  }
  const atMs = at === undefined ? undefined : toEpochMs(at);
  if (at !== undefined && atMs === undefined) throw wrongOption('LK_INPUT', `${where}at`, INSTANT_FORM, at);
  return { agent, key, priority, at: atMs };
}
