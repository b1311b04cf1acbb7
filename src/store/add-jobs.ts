// Adds jobs by BullMQ's own scripts, and those with a reservation by the same scripts with ours around them: look for the
// reservation, add, reserve, as one. Of fifty producers with one key one adds, and a crash leaves both or neither.

import type { JobJson } from 'bullmq';
import { crashPoint } from '../words/crash-point.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import type { Redis } from './connect.ts';
import type { LaneQueue } from './lane-queue.ts';
import { callTogether, scriptOf, type Value } from './together.ts';

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
  const { command, given } = toCall(laneQueue, backend, entry);
  const send = (laneQueue.redis as unknown as Record<string, (given: Value[]) => Promise<unknown>>)[command];
  crashPoint('before-add');
  const reply = await send?.call(laneQueue.redis, given);
  crashPoint('after-add');
  const before = toBefore(reply);
  if (before instanceof Error) throw before;
  return before;
}

/** Answers for each whether it is in; those that are not carry why. */
export async function addJobs(laneQueue: LaneQueue, entries: readonly NewJob[]): Promise<(Before | Error)[]> {
  const backend = adderOf(laneQueue);
  await backend.client;
  const calls = entries.map((entry) => toCall(laneQueue, backend, entry));
  const answers: (Before | Error)[] = [];
  crashPoint('before-add');
  await Promise.all(
    [...new Set(calls.map(({ command }) => command))].map(async (command) => {
      const places = calls.flatMap((call, place) => (call.command === command ? [place] : []));
      const given = places.map((place) => (calls[place] as Call).given);
      const replies = await callTogether(laneQueue.redis, command, given);
      for (const [index, place] of places.entries()) answers[place] = toBefore(replies[index]);
    }),
  );
  crashPoint('after-add');
  return answers;
}

/** The script answers the id, BullMQ's code for what it refused, or what stood there before. */
function toBefore(reply: unknown): Before | Error {
  if (reply instanceof Error) return reply;
  if (Array.isArray(reply)) return String(reply[0]);
  return typeof reply === 'string' ? undefined : new Error(`BullMQ refused the job: ${String(reply)}`);
}

/** What BullMQ's backend for Redis has beside the interface it shares with others. */
interface Adder {
  client: Promise<unknown>;
  addJobToTransaction(client: { runCommand(name: string, args: Value[]): void }, job: JobJson, id: string): unknown;
}

function adderOf({ backend }: LaneQueue): Adder {
  return backend as unknown as Adder;
}

/** A command, with its keys and arguments as one list. */
interface Call {
  command: string;
  given: Value[];
}

function toCall({ redis, jobKey }: LaneQueue, backend: Adder, { job, reservation }: NewJob): Call {
  const id = job.id as string;
  let call: Call | undefined;
  const runCommand = (command: string, given: Value[]) => {
    call = { command, given };
  };
  // It picks the script and packs its arguments before its first await.
  void backend.addJobToTransaction({ runCommand }, job, id);
  const { command, given } = call as unknown as Call;
  if (!reservation) return { command, given };
  given.splice(scriptOf(redis, command).numberOfKeys, 0, jobKey(id), reservation.key);
  given.push(reservation.mark, reservation.forMs);
  return { command: reservingScript(redis, command), given };
}

/** Defines, once per connection, BullMQ's script with ours around it, and answers its name. */
function reservingScript(redis: Redis, command: string): string {
  const merged = `lanekeeper:reserve:${command}`;
  if (merged in redis) return merged;
  const { lua, numberOfKeys } = scriptOf(redis, command);
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
