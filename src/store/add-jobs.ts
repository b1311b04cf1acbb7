// Adds jobs by BullMQ's own scripts, and those with a reservation by the same scripts with ours around them: look for the
// reservation, add, reserve, as one. Of fifty producers with one key one adds, and a crash leaves both or neither.

import type { JobJson } from 'bullmq';
import { crashPoint } from '../words/crash-point.ts';
import { JOB_FIELDS } from '../words/keys.ts';
import type { OwnerLease } from '../words/owner.ts';
import { CALENDAR, LINE_UP } from './calendar/calendar.ts';
import type { Redis } from './connect.ts';
import type { LaneQueue } from './lane-queue.ts';
import { LEASE, readLease } from './ownership/lease-fields.ts';
import { callTogether, scriptOf, type Value } from './together.ts';

export interface Reservation {
  /** The key of Redis that stands for the job. */
  key: string;
  /** What stands there: the job's id and a hash of what it is. */
  mark: string;
  forMs: number;
}

/** For a job that acts as an agent: it stands in line from the moment it is added. */
export interface Lining {
  /** Null: whoever is free first. */
  agent: string | null;
  /** Of its lane, where no pod has made that known yet. */
  cooldownMs: number;
  /** It is not to run before an instant, and comes into line then. */
  isLater: boolean;
  /** What the keys of the calendar begin with. */
  prefixes: readonly [string, string, string];
}

/** For a job of an exclusive lane: it is added if that is who may feed it now, and says so in a field of its own. */
export interface Feeding {
  /** The key of the lease. */
  lease: string;
  as: string;
  by: string;
  /** Of a hold: no other grant will do. */
  token?: number | undefined;
}

export interface NewJob {
  readonly job: JobJson;
  readonly feeding?: Feeding | undefined;
  readonly reservation: Reservation | undefined;
  readonly lining: Lining | undefined;
}

/** A text is the mark of the one that was there before. Otherwise it was added; a number says when it should start, NaN that nobody knows. */
export type Before = string | number | undefined;

/** Nothing was written: another holds the lane, or nobody does. Instants are epoch ms by Redis. */
export class NotItsOwner extends Error {
  readonly holder: OwnerLease | undefined;

  constructor(holder: OwnerLease | undefined) {
    super('not its owner');
    this.holder = holder;
  }
}

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
  if (Array.isArray(reply) && reply[0] === 'owned') return new NotItsOwner(readLease(reply.slice(1)));
  if (Array.isArray(reply)) return reply.length > 1 ? Number.parseFloat(String(reply[1])) : String(reply[0]);
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

function toCall({ redis, jobKey, lane }: LaneQueue, backend: Adder, entry: NewJob): Call {
  const { job, reservation, lining, feeding } = entry;
  const id = job.id as string;
  let call: Call | undefined;
  const runCommand = (command: string, given: Value[]) => {
    call = { command, given };
  };
  // It picks the script and packs its arguments before its first await.
  void backend.addJobToTransaction({ runCommand }, job, id);
  const { command, given } = call as unknown as Call;
  if (!reservation && !lining && !feeding) return { command, given };
  const ours = [jobKey(id), reservation?.key ?? jobKey(id)];
  given.splice(scriptOf(redis, command).numberOfKeys, 0, ...(feeding ? [feeding.lease] : []), ...ours);
  if (feeding) given.push(feeding.as, feeding.by, feeding.token ?? '');
  if (reservation) given.push(reservation.mark, reservation.forMs);
  if (lining) {
    const { agent, cooldownMs, isLater, prefixes } = lining;
    given.push(lane.name, id, agent ?? '', cooldownMs, isLater ? 1 : 0, ...prefixes);
  }
  return { command: mergedScript(redis, command, entry), given };
}

/** Defines, once per connection, BullMQ's script with ours around it, and answers its name. */
function mergedScript(redis: Redis, command: string, { reservation, lining, feeding }: NewJob): string {
  const parts: Parts = {
    reserves: reservation !== undefined,
    lines: lining !== undefined,
    isOwned: feeding !== undefined,
  };
  const names = [parts.isOwned ? 'owned' : '', parts.reserves ? 'reserve' : '', parts.lines ? 'line' : ''];
  const merged = `lanekeeper:${names.join(':')}:${command}`;
  if (merged in redis) return merged;
  const { lua, numberOfKeys } = scriptOf(redis, command);
  redis.defineCommand(merged, { numberOfKeys: numberOfKeys + (parts.isOwned ? 3 : 2), lua: aroundBullMq(lua, parts) });
  return merged;
}

/** What of ours a script has. */
interface Parts {
  reserves: boolean;
  lines: boolean;
  isOwned: boolean;
}

/**
 * KEYS: BullMQ's, then the lease of an exclusive lane, the job and the reservation. ARGV: BullMQ's, then who feeds (as, by, token or
 * ''); then the reservation's mark and how long it stands, in ms; then what the line is told, and what its keys begin with. Answers
 * the id, BullMQ's negative code (and reserves nothing), { mark } of the job that came first (and writes nothing), { id, the instant
 * at which it should start }, or, when another may feed the lane, { 'owned', its lease … } (and writes nothing).
 */
function aroundBullMq(lua: string, { reserves, lines, isOwned }: Parts): string {
  const last = lines ? '#ARGV - 8' : '#ARGV';
  const feeder = reserves ? `${last} - 2` : last;
  const owned = `
${LEASE}
local lease = readLease(KEYS[#KEYS - 2])
do
  local as, by, token = ARGV[${feeder} - 2], ARGV[${feeder} - 1], ARGV[${feeder}]
  if not isLive(lease) or lease.as ~= as or lease.by ~= by or (token ~= '' and token ~= lease.token) then
    return { 'owned', unpack(flatten(lease)) }
  end
end`;
  const fed = `
redis.call('HSET', KEYS[#KEYS - 1], '${JOB_FIELDS.owner}', cjson.encode({ token = lease.token, as = lease.as, by = lease.by }))`;
  const reserved = `
redis.call('SET', reservation, ARGV[${last} - 1], 'PX', ARGV[${last}])
redis.call('HSET', KEYS[#KEYS - 1], '${JOB_FIELDS.same}', reservation)`;
  return `
local function add(KEYS, ARGV)
${lua}
end
${isOwned ? owned : ''}
${lines ? CALENDAR : ''}
${reserves ? `local reservation = KEYS[#KEYS]\nlocal before = redis.call('GET', reservation)\nif before then return { before } end` : ''}
local id = add(KEYS, ARGV)
if type(id) == 'number' and id < 0 then return id end
${isOwned ? fed : ''}
${reserves ? reserved : ''}
${lines ? `${LINE_UP}\nreturn { id, startsAt }` : 'return id'}
`;
}
