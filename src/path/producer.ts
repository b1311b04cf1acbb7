// How jobs get in. Everything is checked before anything is written, ids are fixed before the write, and what was written in
// part is completed by the same call again.

import { addJob, addJobs, type Before, NotItsOwner } from '../store/add-jobs.ts';
import { connectRedis, type Redis, redisDown } from '../store/connect.ts';
import { type LaneQueue, openLaneQueue } from '../store/lane-queue.ts';
import { chooseLocks } from '../store/ownership/choose-locks.ts';
import type { OwnerLocks } from '../store/ownership/owner-locks.ts';
import { type Clock, systemClock } from '../words/clock.ts';
import { LanekeeperError, toError, wrongOption } from '../words/errors.ts';
import { createKeys } from '../words/keys.ts';
import { whoami } from '../words/whoami.ts';
import { findUnknownAgents } from './agent-known.ts';
import { keyTaken, readMark } from './dedupe.ts';
import { type DoorOptions, findRedis, HEAR_MS, readDoor } from './door-options.ts';
import { type AddOptions, type Entry, toEntry } from './entry.ts';
import { type ListOptions, readItems } from './items.ts';
import { type JobState, readStanding } from './job-state.ts';
import { isLane, type Lane } from './lane.ts';
import { type Feeder, notItsOwner } from './owned.ts';
import { type HoldOptions, holdLane, type OwnerHold } from './owner-hold.ts';
import { refuseUnderPressure } from './pressure.ts';

export type { AddOptions };

export interface Added {
  id: string;
  state: JobState;
  /**
   * Epoch ms: its instant, or an estimate of its agent's window; null when it waits for a free slot, which nobody can know. Limits are not
   * reckoned with: the add asks for nothing but its write.
   */
  startsAt: number | null;
  /** True when the same job was there before: this call added none. */
  isRepeat: boolean;
}

export interface Producer {
  add<In>(lane: Lane<In, unknown>, payload: NoInfer<In>, options?: AddOptions): Promise<Added>;
  /**
   * One bad item refuses all. If Redis fails in the middle, the error says which are in (`accepted`), and the same call again
   * adds the others and none twice: with keys from any process, without them from this one and with the same array.
   */
  addMany<In>(
    lane: Lane<In, unknown>,
    items: readonly ({ payload: NoInfer<In> } & AddOptions)[],
    options?: ListOptions,
  ): Promise<Added[]>;
  /** Takes an exclusive lane, with all that share its agents, and holds it until it is released, lost or over. */
  take<In>(lane: Lane<In, unknown>, options: HoldOptions): Promise<Hold<In>>;
  /** Gives back what it holds. */
  close(): Promise<void>;
}

/** A lane that is held, and what is added as its owner. */
export interface Hold<In = unknown> extends OwnerHold {
  add(payload: In, options?: AddOptions): Promise<Added>;
  addMany(items: readonly ({ payload: In } & AddOptions)[], options?: ListOptions): Promise<Added[]>;
}

/** What pods and holds add with. */
export interface HandingProducer extends Producer {
  /** What a job adds keeps that job's id, and is fed by whoever fed that job. */
  addFrom(parent: string, lane: Lane, payload: unknown, options: AddOptions, feeder?: Feeder): Promise<Added>;
  /** As the owner that is given, whatever `as` says. */
  addAs(feeder: Feeder, lane: Lane, payload: unknown, options: AddOptions): Promise<Added>;
  addManyAs(
    feeder: Feeder,
    lane: Lane,
    items: readonly ({ payload: unknown } & AddOptions)[],
    options: ListOptions,
  ): Promise<Added[]>;
}

export type ProducerOptions = DoorOptions;

/** Written in one go. 10,000 at once block the loop for longer than a command may take, and Redis looks dead. */
const CHUNK = 1_000;
export async function createProducer(options: ProducerOptions = {}): Promise<Producer> {
  const { redisUrl, prefix, lockUrls } = findRedis(readDoor('createProducer', options));
  const redis = await connectRedis(redisUrl, 'producer', HEAR_MS);
  const locks = chooseLocks(redis, createKeys(prefix), lockUrls);
  const { add, addMany, take, close } = openProducer(redis, redisUrl, prefix, systemClock, locks);
  return { add, addMany, take, close: () => close().then(() => redis.disconnect()) };
}

/** Over a connection that is already there; whoever opened it closes it, after this. */
export function openProducer(
  redis: Redis,
  url: string,
  prefix: string,
  clock: Clock,
  locks: OwnerLocks = chooseLocks(redis, createKeys(prefix), []),
): HandingProducer {
  const keys = createKeys(prefix);
  const by = whoami();
  const holds = new Set<OwnerHold>();
  const queues = new Map<string, LaneQueue>();
  /** Lists that were written in part, with the ids they were written under. */
  const unfinished = new WeakMap<object, readonly Entry[]>();

  function queueOf(lane: Lane): LaneQueue {
    const open = queues.get(lane.name) ?? openLaneQueue(redis, keys, lane);
    queues.set(lane.name, open);
    return open;
  }

  async function ask<T>(send: () => Promise<T>, entry?: Entry): Promise<T> {
    try {
      return await send();
    } catch (error) {
      if (error instanceof LanekeeperError) throw error;
      throw entry && error instanceof NotItsOwner ? toOwned(entry, error) : toRefusal(error);
    }
  }

  function toOwned({ job, feeding }: Entry, { holder }: NotItsOwner): LanekeeperError {
    return notItsOwner(job.name, feeding ?? { as: '', by: '' }, holder);
  }

  /** ReplyError: Redis is there and says no (out of memory, read only). Anything else: it did not answer. */
  function toRefusal(thrown: unknown, also = '', accepted?: (string | null)[]): LanekeeperError {
    const { name, message } = toError(thrown);
    if (name !== 'ReplyError') return redisDown(url, thrown, also, accepted);
    const text = `Redis refused to write: ${message}${also}`;
    return new LanekeeperError('LK_REDIS_DOWN', text, { cause: thrown, accepted });
  }

  function toAdded(laneQueue: LaneQueue, { job: { id }, startsAt }: Entry, before: Before): Added | Promise<Added> {
    if (typeof before === 'string') return toRepeat(laneQueue, readMark(before).id);
    if (typeof before === 'number' && startsAt === null) {
      return { id, state: 'parked', startsAt: Number.isNaN(before) ? null : before, isRepeat: false };
    }
    return { id, state: startsAt === null ? 'waiting' : 'scheduled', startsAt, isRepeat: false };
  }

  async function toRepeat(laneQueue: LaneQueue, first: string): Promise<Added> {
    // What is kept no more has ended.
    const standing = (await ask(() => readStanding(laneQueue, first))) ?? { state: 'done' as const, startsAt: null };
    return { id: first, ...standing, isRepeat: true };
  }

  async function addOne(
    given: Lane,
    payload: unknown,
    options: AddOptions,
    { parent, feeder }: { parent?: string; feeder?: Feeder | undefined } = {},
  ): Promise<Added> {
    const lane = expectLane(given);
    const nowAt = clock.now();
    const entry = await toEntry({ lane, keys, payload, options, where: '', nowAt, parent, by, feeder });
    await refuseUnknownAgents(lane, [entry]);
    const laneQueue = queueOf(lane);
    using _held = await refuseUnderPressure(laneQueue, lane, [entry]);
    const before = await ask(() => addJob(laneQueue, entry), entry);
    if (isAnother(entry, before)) throw keyTaken(entry.key ?? '', readMark(before).id);
    return toAdded(laneQueue, entry, before);
  }

  /**
   * Asked before the write, so that one taken key refuses the whole list; another producer may still be faster. Nothing is asked
   * of what is the same by content or by the lane's word: it stands for nothing else.
   */
  async function refuseTakenKeys(entries: readonly Entry[]): Promise<void> {
    const keyed = entries.flatMap((entry, index) =>
      entry.key !== undefined && entry.reservation ? [{ entry, key: entry.key, index, at: entry.reservation.key }] : [],
    );
    for (const part of inChunks(keyed)) {
      const marks = await ask(() => redis.mget(part.map(({ at }) => at)));
      for (const [place, { entry, key, index }] of part.entries()) {
        const mark = marks[place] ?? undefined;
        if (isAnother(entry, mark)) throw keyTaken(key, readMark(mark).id, `[${index}] `);
      }
    }
  }

  async function refuseUnknownAgents(lane: Lane, entries: readonly Entry[]): Promise<void> {
    const refusal = await ask(() => findUnknownAgents(redis, keys, lane, entries));
    if (refusal) throw refusal;
  }

  async function writeList(laneQueue: LaneQueue, entries: readonly Entry[]): Promise<Before[]> {
    const answers: (Before | Error)[] = [];
    for (const part of inChunks(entries)) {
      const from = answers.length;
      answers.push(...(await addJobs(laneQueue, part).catch((error) => part.map(() => toError(error)))));
      for (const [place, entry] of part.entries()) {
        const before = answers[from + place];
        if (typeof before === 'string' && isAnother(entry, before)) {
          answers[from + place] = keyTaken(entry.key ?? '', readMark(before).id, `[${from + place}] `);
        } else if (before instanceof NotItsOwner) {
          answers[from + place] = toOwned(entry, before);
        }
      }
      const failed = answers.find((answer) => answer instanceof Error);
      if (failed) throw toPartly(failed, entries, answers);
    }
    return answers as Before[];
  }

  function toPartly(failed: Error, entries: readonly Entry[], answers: readonly (Before | Error)[]): LanekeeperError {
    const accepted = entries.map(({ job }, index) => {
      const answer = answers[index];
      if (index >= answers.length || answer instanceof Error) return null;
      return typeof answer === 'string' ? readMark(answer).id : job.id;
    });
    const inCount = accepted.filter((id) => id !== null).length;
    const also = `; ${inCount} of ${entries.length} items are in, and the same call again adds the others`;
    if (!(failed instanceof LanekeeperError)) return toRefusal(failed, also, accepted);
    return new LanekeeperError(failed.code, `${failed.message}; ${inCount} of ${entries.length} items are in`, {
      accepted,
    });
  }

  const producer: HandingProducer = {
    add: (lane, payload, options = {}) => addOne(lane as Lane, payload, options),
    addFrom: (parent, lane, payload, options, feeder) => addOne(lane, payload, options, { parent, feeder }),
    addAs: (feeder, lane, payload, options) => addOne(lane, payload, options, { feeder }),
    addMany: (lane, items, options = {}) => addList(lane as Lane, items, options),
    addManyAs: (feeder, lane, items, options) => addList(lane, items, options, feeder),
    async take(given, options) {
      const lane = expectLane(given);
      const onEnd = (hold: OwnerHold) => void holds.delete(hold);
      const hold = await ask(() => holdLane({ locks, lane, by, clock, onEnd }, options));
      holds.add(hold);
      return Object.assign(hold, {
        add: async (payload: unknown, more: AddOptions = {}) => producer.addAs(hold.claim(), lane, payload, more),
        addMany: async (items: readonly ({ payload: unknown } & AddOptions)[], more: ListOptions = {}) =>
          producer.addManyAs(hold.claim(), lane, items, more),
      });
    },
    async close() {
      // One that cannot be given back runs out by itself.
      await Promise.all([...holds].map((hold) => hold.release('its producer was closed').catch(() => {})));
      locks.close();
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
  return producer;

  async function addList(
    given: Lane,
    items: readonly ({ payload: unknown } & AddOptions)[],
    options: ListOptions,
    feeder?: Feeder,
  ): Promise<Added[]> {
    const lane = expectLane(given);
    const read = await readItems(lane, keys, items, options, clock.now(), { by, feeder });
    const entries = asBefore(unfinished.get(items), read);
    await refuseUnknownAgents(lane, entries);
    await refuseTakenKeys(entries);
    const laneQueue = queueOf(lane);
    using _held = await refuseUnderPressure(laneQueue, lane, entries);
    let answers: Before[];
    try {
      answers = await writeList(laneQueue, entries);
    } catch (error) {
      unfinished.set(items, entries);
      throw error;
    }
    unfinished.delete(items);
    const added: Added[] = [];
    for (const part of inChunks(entries)) {
      const told = part.map((entry, place) => toAdded(laneQueue, entry, answers[added.length + place]));
      added.push(...(told.some((one) => one instanceof Promise) ? await Promise.all(told) : (told as Added[])));
    }
    return added;
  }
}

/** Only a key can stand for something else: what is the same by content or by the lane's word is the same. */
function isAnother({ key, content }: Entry, before: Before): before is string {
  return key !== undefined && typeof before === 'string' && readMark(before).content !== content;
}

/** The ids of last time, for the items that say what they said then; who feeds them may have taken the lane anew. */
function asBefore(old: readonly Entry[] | undefined, entries: readonly Entry[]): readonly Entry[] {
  if (old?.length !== entries.length) return entries;
  return entries.map((entry, index) => {
    const before = old[index];
    const isSame = before?.job.name === entry.job.name && before.job.data === entry.job.data;
    return isSame ? { ...before, feeding: entry.feeding } : entry;
  });
}

function* inChunks<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += CHUNK) yield list.slice(start, start + CHUNK);
}

function expectLane(lane: unknown): Lane {
  if (!isLane(lane)) throw wrongOption('LK_INPUT', 'lane', 'what defineLane returned', lane);
  return lane;
}
