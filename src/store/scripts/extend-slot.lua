-- Holds a slot until an answer must be here: whatever becomes of its pod, the upstream may be at work until then.
-- KEYS[1] slots the sorted set of what is held of `concurrent`
-- ARGV[1] id of the slot
-- ARGV[2] forMs from now, by Redis's clock
-- Answers 1, or 0 when it is held no more.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) <= now then return 0 end
redis.call('ZADD', KEYS[1], 'XX', 'GT', now + ARGV[2], ARGV[1])
return 1
