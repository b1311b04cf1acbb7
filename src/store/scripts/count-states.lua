-- How many jobs of a lane are in each state, and how many of the parked wait at each gate, at one instant. The lengths of lists and sets,
-- so it costs the same for ten jobs and for a million; one more for each agent for whom jobs of its own wait. Reads only.
-- KEYS[1] wait
-- KEYS[2] prioritized
-- KEYS[3] delayed
-- KEYS[4] active
-- KEYS[5] completed
-- KEYS[6] failed
-- KEYS[7] meta
-- KEYS[8] line   of those that wait for the window of any agent; what it begins with, that of a named one begins with too
-- KEYS[9] lined  the agents that have a line of their own
-- KEYS[10] aside of those whose owner was displaced
-- ARGV[1] parked JSON list of the keys of those that pods parked, one for each gate
-- Replies {1 when paused, waiting, delayed, active, done, dead, in the lines, aside, those of each gate as given}.
local wait, prioritized, delayed, active, completed, failed, meta, line, lined, aside = unpack(KEYS)

local lines = redis.call('ZCARD', line)
for _, agent in ipairs(redis.call('SMEMBERS', lined)) do lines = lines + redis.call('ZCARD', line .. ':' .. agent) end

-- Jobs leave the delayed set first come first: who was due before its first has left, and its name is trimmed by the next park.
local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
local from = first and string.format('%.0f', math.floor(first / 4096))
local gates = {}
for i, key in ipairs(cjson.decode(ARGV[1])) do gates[i] = from and redis.call('ZCOUNT', key, from, '+inf') or 0 end

return {
  redis.call('HEXISTS', meta, 'paused'),
  redis.call('LLEN', wait) + redis.call('ZCARD', prioritized),
  redis.call('ZCARD', delayed),
  redis.call('LLEN', active),
  redis.call('ZCARD', completed),
  redis.call('ZCARD', failed),
  lines,
  redis.call('ZCARD', aside),
  unpack(gates),
}
