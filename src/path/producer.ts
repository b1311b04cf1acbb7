// How jobs get in. Ids are fixed before the write, so a write whose answer was lost can be made again, and with a key adds
// nothing twice. BullMQ's own scripts write; its Job class is left out, because it would turn the data into text again.

import { connectRedis, type Redis, redisDown } from '../store/connect.ts';
import { type LaneQueue, openLaneQueue } from '../store/lane-queue.ts';
import { type Clock, systemClock } from '../words/clock.ts';
import { readConfig } from '../words/config.ts';
import { LanekeeperError, toError, wrongOption } from '../words/errors.ts';
import { createKeys } from '../words/keys.ts';
import { type AddOptions, type Entry, toEntry } from './entry.ts';
import { type JobState, readStanding } from './job-state.ts';
import { isLane, type Lane } from './lane.ts';
import { refuseUnderPressure } from './pressure.ts';

export type { AddOptions };

export interface Added {
  id: string;
  state: JobState;
  /** Epoch ms; null when it waits for a free slot, which nobody can know. */
  startsAt: number | null;
}

export interface Producer {
  add<In>(lane: Lane<In, unknown>, payload: NoInfer<In>, options?: AddOptions): Promise<Added>;
  addMany<In>(lane: Lane<In, unknown>, items: readonly ({ payload: NoInfer<In> } & AddOptions)[]): Promise<Added[]>;
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** Default: REDIS_URL. */
  redis?: string | undefined;
  /** Default: LANEKEEPER_PREFIX, or `lk`. */
  prefix?: string | undefined;
}

/** Above this, one call would hold the event loop and Redis for too long: 10,000 take about half a second. */
const MAX_ITEMS = 10_000;
/** Written in one go. 10,000 at once block the loop for longer than a command may take, and Redis looks dead. */
const CHUNK = 1_000;
const MAX_COMPLAINTS = 10;
/** A producer hears within 1.5 s that Redis is away, also when it is made. */
const HEAR_MS = 1_400;

export async function createProducer(options: ProducerOptions = {}): Promise<Producer> {
  const { REDIS_URL, LANEKEEPER_PREFIX } = process.env;
  const env = { REDIS_URL: options.redis ?? REDIS_URL, LANEKEEPER_PREFIX: options.prefix ?? LANEKEEPER_PREFIX };
  const { redisUrl, prefix } = readConfig(env, process.cwd());
  if (!redisUrl) {
    throw wrongOption('LK_CONFIG', 'redis', "an address such as 'redis://127.0.0.1:6379', or REDIS_URL", options.redis);
  }
  return openProducer(await connectRedis(redisUrl, 'producer', HEAR_MS), redisUrl, prefix, systemClock);
}

/** Over a connection that is already there; `close` closes it. */
export function openProducer(redis: Redis, url: string, prefix: string, clock: Clock): Producer {
  const keys = createKeys(prefix);
  const queues = new Map<string, LaneQueue>();

  function queueOf(lane: Lane): LaneQueue {
    const open = queues.get(lane.name) ?? openLaneQueue(redis, keys, lane);
    queues.set(lane.name, open);
    return open;
  }

  async function write<T>(send: () => Promise<T>, also = ''): Promise<T> {
    try {
      return await send();
    } catch (error) {
      // ReplyError: Redis is there and says no (out of memory, read only). Anything else: it did not answer.
      if (toError(error).name !== 'ReplyError') throw redisDown(url, error, also);
      throw new LanekeeperError('LK_REDIS_DOWN', `Redis refused to write: ${toError(error).message}${also}`, {
        cause: error,
      });
    }
  }

  /** A key seen before wrote nothing: say what the job that is there is doing. */
  async function toAdded(laneQueue: LaneQueue, { job: { id }, isKeyed, startsAt }: Entry): Promise<Added> {
    const standing = isKeyed ? await write(() => readStanding(laneQueue, id)) : undefined;
    return { id, ...(standing ?? { state: startsAt === null ? 'waiting' : 'scheduled', startsAt }) };
  }

  return {
    async add(given, payload, options = {}) {
      const lane = expectLane(given);
      const entry = await toEntry(lane, payload, options, '', clock.now());
      const laneQueue = queueOf(lane);
      using _held = await refuseUnderPressure(laneQueue, lane, [entry]);
      await write(() => laneQueue.backend.addJob(entry.job, entry.job.id));
      return toAdded(laneQueue, entry);
    },
    async addMany(given, items) {
      const lane = expectLane(given);
      const entries = await readAll(lane, items, clock.now());
      const laneQueue = queueOf(lane);
      using _held = await refuseUnderPressure(laneQueue, lane, entries);
      for (let start = 0; start < entries.length; start += CHUNK) {
        const part = entries.slice(start, start + CHUNK).map(({ job }) => ({ job, jobId: job.id }));
        await write(
          () => laneQueue.backend.addJobs(part),
          start > 0 ? `; ${start} of ${entries.length} items are in` : '',
        );
      }
      return Promise.all(entries.map((entry) => toAdded(laneQueue, entry)));
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

async function readAll(lane: Lane, items: readonly unknown[], nowAt: number): Promise<Entry[]> {
  if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS) {
    throw wrongOption('LK_INPUT', 'items', `a list of 1 to ${MAX_ITEMS}`, Array.isArray(items) ? items.length : items);
  }
  const entries: Entry[] = [];
  const problems: string[] = [];
  for (const [index, item] of items.entries()) {
    try {
      if (typeof item !== 'object' || item === null)
        throw wrongOption('LK_INPUT', `[${index}]`, '{ payload, … }', item);
      const { payload, ...options } = item as { payload: unknown } & AddOptions;
      entries.push(await toEntry(lane, payload, options, `[${index}] `, nowAt));
    } catch (error) {
      problems.push(toError(error).message);
    }
  }
  if (problems.length === 0) return entries;
  const shown = problems.slice(0, MAX_COMPLAINTS).join('; ');
  const rest = problems.length > MAX_COMPLAINTS ? `; and ${problems.length - MAX_COMPLAINTS} more` : '';
  throw new LanekeeperError(
    'LK_INPUT',
    `${problems.length} of ${items.length} items refused, none added: ${shown}${rest}`,
  );
}

function expectLane(lane: unknown): Lane {
  if (!isLane(lane)) throw wrongOption('LK_INPUT', 'lane', 'what defineLane returned', lane);
  return lane;
}
