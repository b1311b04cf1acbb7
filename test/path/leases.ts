// The lease of an exclusive lane, as a take leaves it in Redis: for tests of what becomes of jobs. A take that displaces sets aside what
// runs, by the very lines that stand in the script of a take.

import { groupAddress } from '../../src/path/group.ts';
import type { Lane } from '../../src/path/lane.ts';
import { calendarPrefixes } from '../../src/store/calendar/calendar.ts';
import { SET_ASIDE } from '../../src/store/ownership/aside.ts';
import { whoami } from '../../src/words/whoami.ts';
import type { World } from '../support/world.ts';

const TAKE = `${SET_ASIDE}
local last = tonumber(call('HGET', KEYS[1], 'last')) or 0
local token = whole(math.max(last + 1, now * 1000))
call('HSET', KEYS[1], 'token', token, 'last', token, 'as', ARGV[1], 'by', ARGV[2], 'reason', 'a test', 'since', whole(now),
  'until', whole(now + tonumber(ARGV[3])), 'hold', '')
if ARGV[4] == '1' then
  local stopped = {}
  for _, lane in ipairs(cjson.decode(ARGV[5])) do setAside(lane, { as = ARGV[1], by = ARGV[2], token = token }, stopped) end
  call('PUBLISH', U .. 'owner-notice', cjson.encode({ kind = 'taken', as = ARGV[1], by = ARGV[2], jobs = stopped[1] and stopped or nil }))
end
return token`;

export interface TakeOptions {
  by?: string;
  forMs?: number;
  /** false: as a take would that leaves alone what runs. */
  setsAside?: boolean;
  /** The lanes of its group. */
  lanes?: readonly Lane[];
}

/** The token. */
export async function take(world: World, lane: Lane, as: string, options: TakeOptions = {}): Promise<number> {
  const { by = whoami(), forMs = 60_000, setsAside = true, lanes = [lane] } = options;
  const names = JSON.stringify(lanes.filter(({ displaced }) => displaced === 'park').map(({ name }) => name));
  const { keys, redis } = world;
  const given = [as, by, forMs, setsAside ? 1 : 0, names, ...calendarPrefixes(keys, lane.tag)];
  return Number(await redis.eval(TAKE, 1, keys.owner(groupAddress(lane)), ...given));
}

/** Its term is over. */
export async function expire({ redis, keys }: World, lane: Lane): Promise<void> {
  await redis.hset(keys.owner(groupAddress(lane)), 'until', '1');
}
