// A take by force, as the crash runs need it: each change of hands is wanted.

import type { Redis } from 'ioredis';
import { groupAddress } from '../../../src/path/group.ts';
import type { Lane } from '../../../src/path/lane.ts';
import { calendarPrefixes } from '../../../src/store/calendar/calendar.ts';
import { SET_ASIDE } from '../../../src/store/ownership/aside.ts';
import type { Keys } from '../../../src/words/keys.ts';

export async function takeLease(redis: Redis, keys: Keys, lane: Lane, together: Lane[], as: string): Promise<number> {
  const names = JSON.stringify(together.filter(({ displaced }) => displaced === 'park').map(({ name }) => name));
  const given = [as, 'ann@desk', names, ...calendarPrefixes(keys, lane.tag)];
  return Number(await redis.eval(`${SET_ASIDE}\n${TAKE}`, 1, keys.owner(groupAddress(lane)), ...given));
}

const TAKE = `
local held = call('HMGET', KEYS[1], 'last', 'as', 'token')
local token = held[3]
if held[2] ~= ARGV[1] then
  token = whole(math.max((tonumber(held[1]) or 0) + 1, now * 1000))
  local stopped = {}
  for _, lane in ipairs(cjson.decode(ARGV[3])) do setAside(lane, { as = ARGV[1], by = ARGV[2], token = token }, stopped) end
  call('PUBLISH', U .. 'owner-notice', cjson.encode({ kind = 'taken', as = ARGV[1], by = ARGV[2], jobs = stopped[1] and stopped or nil }))
end
call('HSET', KEYS[1], 'token', token, 'last', token, 'as', ARGV[1], 'by', ARGV[2], 'reason', 'a run', 'since', whole(now),
  'until', whole(now + 3600000), 'hold', '')
return token`;
