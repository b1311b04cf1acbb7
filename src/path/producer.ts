// How jobs get in. Everything is checked before anything is written: the payload by the lane's schema, the options by name.
// Ids are fixed before the write, so a write whose answer was lost can be made again and adds nothing twice.

import { type JobsOptions, UnrecoverableError } from 'bullmq';
import { checkPayload } from '../policies/intake.ts';
import { connectRedis, type Redis, redisDown } from '../store/connect.ts';
import { type LaneQueue, openLaneQueue } from '../store/lane-queue.ts';
import { type Clock, systemClock } from '../words/clock.ts';
import { readConfig } from '../words/config.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import { INSTANT_FORM, toEpochMs } from '../words/instant.ts';
import { createKeys } from '../words/keys.ts';
import type { Envelope } from './attempt.ts';
import { keyedJobId, newJobId } from './job-id.ts';
import { type JobState, readState } from './job-state.ts';
import { isLane, type Lane, MAX_PRIORITY } from './lane.ts';

export interface AddOptions {
  /** On whose behalf. */
  agent?: string;
  /** Lower runs sooner, 0 first. Default: the lane's. */
  priority?: number;
  /** The same key adds the job once while it is kept. At most 256 characters. */
  key?: string;
  /** Not before this instant. */
  at?: Date | number | string;
}

export interface Added {
  id: string;
  state: JobState;
  /** Epoch ms; null when it waits for a free slot, which nobody can know. */
  startsAt: number | null;
}

export interface Producer {
  add<In>(lane: Lane<In, never> | Lane<In, unknown>, payload: In, options?: AddOptions): Promise<Added>;
  addMany<In>(
    lane: Lane<In, never> | Lane<In, unknown>,
    items: readonly ({ payload: In } & AddOptions)[],
  ): Promise<Added[]>;
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** Default: REDIS_URL. */
  redis?: string | undefined;
  prefix?: string;
  clock?: Clock;
}

/** Above this, one call would hold the event loop and Redis for too long: 10,000 take about half a second. */
const MAX_ITEMS = 10_000;

export async function createProducer(options: ProducerOptions = {}): Promise<Producer> {
  const config = readConfig({ ...process.env, ...(options.redis ? { REDIS_URL: options.redis } : {}) }, process.cwd());
  const url = config.redisUrl;
  if (!url)
    throw wrongOption('LK_CONFIG', 'redis', "an address such as 'redis://127.0.0.1:6379', or REDIS_URL", options.redis);
  const redis = await connectRedis(url, 'producer');
  return openProducer(redis, url, options.prefix ?? config.prefix, options.clock ?? systemClock);
}

/** Over a connection that is already there; `close` closes it. */
export function openProducer(redis: Redis, url: string, prefix: string, clock: Clock): Producer {
  const keys = createKeys(prefix);
  const queues = new Map<string, LaneQueue>();

  function queueOf(lane: Lane): LaneQueue {
    let found = queues.get(lane.name);
    if (!found) {
      found = openLaneQueue(redis, keys, lane);
      queues.set(lane.name, found);
    }
    return found;
  }

  async function write<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) {
        throw new LanekeeperError('LK_INPUT', `payload: expected what JSON can hold: ${error.message}`, {
          cause: error,
        });
      }
      // ReplyError: Redis is there and says no (out of memory, read only). Anything else: it did not answer.
      if (toError(error).name === 'ReplyError' || error instanceof UnrecoverableError) {
        throw new LanekeeperError('LK_REDIS_DOWN', `Redis refused to write the job: ${toError(error).message}`, {
          cause: error,
        });
      }
      throw redisDown(url, error);
    }
  }

  return {
    async add(lane, payload, addOptions = {}) {
      const known = expectLane(lane);
      const entry = await toEntry(known, payload, addOptions, '', clock);
      const laneQueue = queueOf(known);
      await write(() => laneQueue.queue.add(known.name, entry.data, entry.opts));
      return addOptions.key === undefined ? entry.added : write(() => asItStands(laneQueue, entry.added));
    },
    async addMany(lane, items) {
      const known = expectLane(lane);
      if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS) {
        throw wrongOption(
          'LK_INPUT',
          'items',
          `a list of 1 to ${MAX_ITEMS}`,
          Array.isArray(items) ? items.length : items,
        );
      }
      const entries = await readAll(known, items, clock);
      await write(() =>
        queueOf(known).queue.addBulk(entries.map(({ data, opts }) => ({ name: known.name, data, opts }))),
      );
      return entries.map((entry) => entry.added);
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

/** A key seen before wrote nothing: say what the job that is there is doing. */
async function asItStands(laneQueue: LaneQueue, added: Added): Promise<Added> {
  const state = await readState(laneQueue, added.id);
  return state === undefined || state === added.state ? added : { id: added.id, state, startsAt: null };
}

interface Entry {
  data: Envelope;
  opts: JobsOptions;
  added: Added;
}

async function readAll(
  lane: Lane,
  items: readonly ({ payload: unknown } & AddOptions)[],
  clock: Clock,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  const problems: string[] = [];
  for (const [index, item] of items.entries()) {
    try {
      if (typeof item !== 'object' || item === null) throw wrongOption('LK_INPUT', 'item', '{ payload, … }', item);
      const { payload, ...addOptions } = item;
      entries.push(await toEntry(lane, payload, addOptions, `[${index}] `, clock));
    } catch (error) {
      problems.push(toError(error).message);
    }
  }
  if (problems.length === 0) return entries;
  const shown = problems.slice(0, 10).join('; ');
  const rest = problems.length > 10 ? `; and ${problems.length - 10} more` : '';
  throw new LanekeeperError(
    'LK_INPUT',
    `${problems.length} of ${items.length} items refused, none added: ${shown}${rest}`,
  );
}

async function toEntry(lane: Lane, payload: unknown, options: AddOptions, where: string, clock: Clock): Promise<Entry> {
  const { agent, key, priority = lane.priority, at } = readAddOptions(options, where);
  const checked = checkPayload(lane.payload, payload);
  const intake = checked instanceof Promise ? await checked : checked;
  if (!intake.ok)
    throw new LanekeeperError('LK_INPUT', `${where}lane ${quote(lane.name)}: ${intake.problems.join('; ')}`);
  const nowAt = clock.now();
  const id = key === undefined ? newJobId(nowAt) : keyedJobId(lane.name, key);
  const delay = at === undefined ? 0 : Math.max(0, at - nowAt);
  return {
    // Stored as sent: the schema's defaults and transforms run once, at the pod.
    data: {
      lk: 1,
      payload: payload as unknown,
      ...(agent === undefined ? {} : { agent }),
      ...(key === undefined ? {} : { key }),
    },
    opts: { jobId: id, priority, delay, attempts: lane.retry.attempts, timestamp: nowAt },
    added: { id, state: delay > 0 ? 'scheduled' : 'waiting', startsAt: delay > 0 ? (at as number) : null },
  };
}

function readAddOptions(options: AddOptions, where: string): Omit<AddOptions, 'at'> & { at?: number } {
  const { agent, key, priority, at, ...unknown } = options;
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) {
    throw new LanekeeperError('LK_INPUT', `${where}${quote(stranger)}: expected one of agent, priority, key, at`);
  }
  if (agent !== undefined && !(typeof agent === 'string' && /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/.test(agent))) {
    throw wrongOption('LK_INPUT', `${where}agent`, "1 to 128 letters, digits, '.', '_', '@' or '-'", agent);
  }
  if (key !== undefined && !(typeof key === 'string' && key.length >= 1 && key.length <= 256)) {
    throw wrongOption('LK_INPUT', `${where}key`, 'a text of 1 to 256 characters', key);
  }
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY)) {
    throw wrongOption('LK_INPUT', `${where}priority`, `a whole number from 0 to ${MAX_PRIORITY}`, priority);
  }
  const atMs = at === undefined ? undefined : toEpochMs(at);
  if (at !== undefined && atMs === undefined) throw wrongOption('LK_INPUT', `${where}at`, INSTANT_FORM, at);
  return { agent, key, priority, ...(atMs === undefined ? {} : { at: atMs }) };
}

function expectLane(lane: unknown): Lane {
  if (!isLane(lane)) throw wrongOption('LK_INPUT', 'lane', 'what defineLane returned', lane);
  return lane;
}
