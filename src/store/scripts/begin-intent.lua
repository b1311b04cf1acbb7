-- Puts down what somebody is about to do, in the same step with the entry that says so; again, it is a sign of life.
-- KEYS[1] intents
-- KEYS[2] journal
-- ARGV[1] id
-- ARGV[2] intent  JSON
-- ARGV[3] who
-- ARGV[4] what    of the entry; empty for none
-- ARGV[5] known   its JSON

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
-- A full Redis refuses the first write that needs room, and no later one: what makes room must be possible then.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], '{"at":' .. now .. ',' .. string.sub(ARGV[2], 2))
if ARGV[4] ~= '' then writeEntry(ARGV[4], KEYS[2], ARGV[3], ARGV[5], {}) end
return 1
