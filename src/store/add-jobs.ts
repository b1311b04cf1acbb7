// Adds jobs by BullMQ's own scripts, and those with a reservation by the same scripts with ours around them: look for the
// reservation, add, reserve, as one. Of fifty producers with one key one adds, and a crash leaves both or neither.

import type { JobJson } from 'bullmq';
import type { ChainableCommander } from 'ioredis';
import { crashPoint } from '../words/crash-point.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import type { Redis } from './connect.ts';
import type { LaneQueue } from './lane-queue.ts';

export interface Reservation {
  /** The key of Redis that stands for the job. */
  key: string;
  /** What stands there: the job's id and a hash of what it is. */
  mark: string;
  forMs: number;
}

export interface NewJob {
  readonly job: JobJson;
  readonly reservation: Reservation | undefined;
}

/** Undefined: it was added. Otherwise the mark of the one that was there before. */
export type Before = string | undefined;

export async function addJob(laneQueue: LaneQueue, entry: NewJob): Promise<Before> {
  const backend = adderOf(laneQueue);
  await backend.client; // BullMQ defines its scripts on the connection first
  crashPoint('before-add');
  const reply = await add(laneQueue, laneQueue.redis, entry);
  crashPoint('after-add');
  return toBefore(reply);
}

/** In one write. Answers for each whether it is in; those that are not carry why. */
export async function addJobs(laneQueue: LaneQueue, entries: readonly NewJob[]): Promise<(Before | Error)[]> {
  const backend = adderOf(laneQueue);
  await backend.client;
  for (const name of ['addStandardJob', 'addDelayedJob', 'addPrioritizedJob'])
    reservingScript(laneQueue.redis, backend, name);
  const pipeline = laneQueue.redis.pipeline();
  // The commands are queued before the first await, and answered below.
  for (const entry of entries) void add(laneQueue, pipeline, entry);
  crashPoint('before-add');
  const replies = (await pipeline.exec()) ?? [];
  crashPoint('after-add');
  return entries.map((_, place) => {
    const [error, reply] = replies[place] ?? [new Error('no answer'), undefined];
    return error ?? toBefore(reply);
  });
}

function toBefore(reply: unknown): Before {
  return Array.isArray(reply) ? String(reply[0]) : undefined;
}

/** What BullMQ's backend for Redis has beside the interface it shares with others. */
interface Adder {
  client: Promise<unknown>;
  version: string;
  addJobToTransaction(
    client: { runCommand(name: string, args: unknown[]): unknown },
    job: JobJson,
    id: string,
  ): unknown;
}

function adderOf({ backend }: LaneQueue): Adder {
  return backend as unknown as Adder;
}

function add(laneQueue: LaneQueue, target: Redis | ChainableCommander, { job, reservation }: NewJob): unknown {
  const { redis, jobKey } = laneQueue;
  const backend = adderOf(laneQueue);
  const id = job.id as string;
  const call = (name: string, args: unknown[]) => (target as unknown as Commands)[name]?.(args);
  const runCommand = (name: string, args: unknown[]) => {
    if (!reservation) return call(name, args);
    const merged = reservingScript(redis, backend, name);
    const keyCount = scriptOf(redis, name).numberOfKeys;
    args.splice(keyCount, 0, jobKey(id), reservation.key);
    args.push(reservation.mark, reservation.forMs);
    return call(merged, args);
  };
  return backend.addJobToTransaction({ runCommand }, job, id);
}

type Commands = Record<string, (args: unknown[]) => unknown>;

interface Script {
  lua: string;
  numberOfKeys: number;
}

/** ioredis keeps what was defined on a connection under this name; there is no other way to the text of BullMQ's scripts. */
function scriptOf(redis: Redis, name: string): Script {
  const script = (redis as unknown as { scriptsSet: Record<string, Script | undefined> }).scriptsSet[name];
  if (!script) throw new Error(`BullMQ has no script ${name} any more: expected the version this package pins`);
  return script;
}

/** Defines, once per connection, BullMQ's script with ours around it, and answers its name. */
function reservingScript(redis: Redis, backend: Adder, name: string): string {
  const versioned = name.includes(':') ? name : `${name}:${backend.version}`;
  const merged = `lanekeeper:reserve:${versioned}`;
  if (merged in redis) return merged;
  const { lua, numberOfKeys } = scriptOf(redis, versioned);
  redis.defineCommand(merged, { numberOfKeys: numberOfKeys + 2, lua: aroundBullMq(lua) });
  return merged;
}

/**
 * KEYS: BullMQ's, then the job and the reservation. ARGV: BullMQ's, then its mark and how long it stands, in ms.
 * Answers the id, BullMQ's negative code (and reserves nothing), or { mark } of the job that came first (and writes nothing).
 */
function aroundBullMq(lua: string): string {
  return `
local function add(KEYS, ARGV)
${lua}
end
local reservation = KEYS[#KEYS]
local before = redis.call('GET', reservation)
if before then return { before } end
local id = add(KEYS, ARGV)
if type(id) == 'number' and id < 0 then return id end
redis.call('SET', reservation, ARGV[#ARGV - 1], 'PX', ARGV[#ARGV])
redis.call('HSET', KEYS[#KEYS - 1], '${JOB_FIELDS.same}', reservation)
return id
`;
}
