// One job to be written, checked whole: the payload by the lane's schema, the options by name, the data as the very text that
// will stand in Redis. Whatever is wrong is said here, before anything is written.

import type { JobJson, JobsOptions } from 'bullmq';
import { checkPayload } from '../policies/intake.ts';
import type { NewJob } from '../store/add-jobs.ts';
import { calendarPrefixes } from '../store/calendar/calendar.ts';
import { firstLine, LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import { INSTANT_FORM, toEpochMs } from '../words/instant.ts';
import type { Keys } from '../words/keys.ts';
import { toDataText } from './data-text.ts';
import { readMark, toReservation } from './dedupe.ts';
import { toName } from './definition.ts';
import { AGENT_FORM, type Envelope, isAgentName, isKey, KEY_FORM } from './envelope.ts';
import { newJobId } from './job-id.ts';
import { DEDUPE, type Lane, MAX_PRIORITY } from './lane.ts';
import { AS_FORM, type Feeder, toFeeding } from './owned.ts';

export interface AddOptions {
  /** On whose behalf: in a lane that acts as agents, or whose upstream has limits by agent. */
  agent?: string | undefined;
  /** Lower runs sooner, 0 first. Default: the lane's. */
  priority?: number | undefined;
  /** The same key adds the job once within the lane's window (24 h unless it says otherwise). At most 256 characters. */
  key?: string | undefined;
  /** Not before this instant. */
  at?: Date | number | string | undefined;
  /** Who feeds an exclusive lane: 'manual', 'cron', a service's name. Together with who runs this, it must be the lane's owner. */
  as?: string | undefined;
}

export interface Entry extends NewJob {
  readonly job: JobJson & { id: string };
  readonly key: string | undefined;
  /** A hash of payload and agent, while a key stands for them; '' otherwise. */
  readonly content: string;
  /** Epoch ms; null when it may run at once. */
  readonly startsAt: number | null;
}

export interface EntryInput {
  lane: Lane;
  keys: Keys;
  payload: unknown;
  options: AddOptions;
  /** Which item of many, for the complaint. */
  where: string;
  nowAt: number;
  /** '<lane>/<job id>' of the job that hands over to this one. */
  parent?: string | undefined;
  /** user@host of whoever adds; with the option `as` it is an owner. */
  by: string;
  /** Of a hold, or of the job that hands over: instead of the option. */
  feeder?: Feeder | undefined;
}

/** Whatever is handed in, what it throws is a LanekeeperError: getters, proxies and schemas throw what they like. */
export async function toEntry(input: EntryInput): Promise<Entry> {
  const { lane, payload, options, where } = input;
  try {
    const read = readAddOptions(options, where);
    if (read.as !== undefined && lane.ownership !== 'exclusive') {
      const expected = `nothing: lane ${quote(lane.name)} is open, and nobody owns it`;
      throw wrongOption('LK_INPUT', `${where}as`, expected, read.as);
    }
    if (read.agent !== undefined && !knowsAgents(lane)) {
      const todo = "leave it out, or give the lane agent: { cooldown: '2h' }";
      const expected = `nothing, for the jobs of lane ${quote(lane.name)} act as no agent (${todo})`;
      throw wrongOption('LK_INPUT', `${where}agent`, expected, read.agent);
    }
    const checked = checkPayload(lane.payload, payload);
    const intake = checked instanceof Promise ? await checked : checked;
    if (intake.ok) return make(input, read);
    throw new LanekeeperError('LK_INPUT', `${where}lane ${quote(lane.name)}: ${intake.problems.join('; ')}`);
  } catch (thrown) {
    if (thrown instanceof LanekeeperError) throw thrown;
    const text = `${where}lane ${quote(lane.name)}: the payload, its schema or an option threw when it was read: ${firstLine(thrown)}`;
    throw new LanekeeperError('LK_INPUT', text, { cause: thrown });
  }
}

/** Elsewhere it would say nothing: nobody's window would be waited for, and nobody's limit would count it. */
function knowsAgents({ agent, upstream }: Lane): boolean {
  return agent !== undefined || upstream?.limits?.limits.some(({ byAgent }) => byAgent) === true;
}

function make(input: EntryInput, read: ReadOptions): Entry {
  const { lane, keys, payload, where, nowAt, parent, by } = input;
  const { agent, key, priority = lane.priority, at, as } = read;
  const delay = at === undefined ? 0 : Math.max(0, at - nowAt);
  // Stored as sent: the schema's defaults and transforms run once, at the pod.
  const envelope: Envelope = {
    lk: 1,
    payload,
    ...(agent && { agent }),
    ...(key && { key }),
    ...(parent && { parent }),
  };
  const opts: JobsOptions = {
    attempts: lane.retry.attempts,
    timestamp: nowAt,
    // A job that acts as an agent waits among the delayed, where its line finds it.
    ...((delay > 0 || lane.agent) && { delay: Math.max(1, delay) }),
    ...(priority > 0 && { priority }),
  };
  const id = newJobId(nowAt);
  const data = toDataText(envelope, where);
  // What a job hands over is never in twice, also in a lane that dedupes nothing else.
  const dedupe = lane.dedupe ?? (parent ? DEDUPE : undefined);
  const reservation = dedupe && toReservation(lane, dedupe, keys, id, { payload, agent, key }, where);
  return {
    job: { id, name: lane.name, data, opts, timestamp: nowAt } as JobJson & { id: string },
    reservation,
    key,
    content: reservation ? readMark(reservation.mark).content : '',
    startsAt: delay > 0 ? nowAt + delay : null,
    feeding: toFeeding(lane, keys, input.feeder ?? (as === undefined ? undefined : { as, by })),
    lining: lane.agent && {
      agent: agent ?? null,
      cooldownMs: lane.agent.cooldownMs,
      isLater: delay > 0,
      prefixes: calendarPrefixes(keys, lane.tag),
    },
  };
}

type ReadOptions = Omit<AddOptions, 'at'> & { at?: number | undefined };

function readAddOptions(given: AddOptions, where: string): ReadOptions {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrongOption('LK_INPUT', `${where}options`, '{ agent, priority, key, at, as }', given);
  }
  const { agent, key, priority, at, as, ...rest } = given;
  const [stranger] = Object.keys(rest);
  if (stranger !== undefined) {
    throw new LanekeeperError('LK_INPUT', `${where}${quote(stranger)}: expected one of agent, priority, key, at, as`);
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
  if (as !== undefined && toName(as) === undefined) throw wrongOption('LK_INPUT', `${where}as`, AS_FORM, as);
  return { agent, key, priority, at: atMs, as };
}
