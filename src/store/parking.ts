// Parks a job by BullMQ's own script, and notes in the same move at which gate: how many wait at each can then be told without a look at
// the jobs.

import type { IQueueBackend } from 'bullmq';
import type { LaneQueue } from './lane-queue.ts';
import { scriptOf, type Value } from './together.ts';

/** BullMQ's name of the move, and ours of the script that has it inside. */
const MOVE = 'moveToDelayed';
const PARK = 'moveToParked';

/** The backend of the lane as it is given (one that settles for an agent too), for one move to the delayed set. */
export function parkingBackend({ redis, backend, parkedKey }: LaneQueue, gate: string): IQueueBackend {
  const parked = parkedKey(gate);
  return Object.assign(Object.create(backend), {
    execCommand(this: { version: string }, client: unknown, name: string, args: Value[]) {
      if (name !== MOVE) throw new TypeError(`expected BullMQ to park by ${MOVE}, got ${name}`);
      const command = `${PARK}:${this.version}`;
      const { lua, numberOfKeys } = scriptOf(redis, `${MOVE}:${this.version}`);
      if (!(command in redis)) redis.defineCommand(command, { numberOfKeys: numberOfKeys + 1, lua: aroundMove(lua) });
      const given = [...args.slice(0, numberOfKeys), parked, ...args.slice(numberOfKeys)];
      return (backend as unknown as Sender).execCommand(client, PARK, given);
    },
  }) as IQueueBackend;
}

/** What BullMQ's backend for Redis has beside the interface it shares with others. */
interface Sender {
  execCommand(client: unknown, name: string, args: Value[]): Promise<unknown>;
}

/**
 * KEYS: BullMQ's (the fourth is the delayed set), then that of the gate. ARGV: BullMQ's; [2] now, [3] the job, [5] for how long. Jobs
 * leave the delayed set first come first, so who was due before its first has left.
 */
function aroundMove(lua: string): string {
  return `
local function move(KEYS, ARGV)
${lua}
end
local reply = move(KEYS, ARGV)
if type(reply) == 'number' and reply < 0 then return reply end
local first = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', KEYS[#KEYS], string.format('%.0f', tonumber(ARGV[2]) + math.max(0, tonumber(ARGV[5]))), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[#KEYS], '-inf', first and string.format('(%.0f', math.floor(first / 4096)) or '+inf')
return reply
`;
}
