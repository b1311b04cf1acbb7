-- Lets nobody through for a while: the upstream said so. A hold that ends later stands.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- ARGV[1] forMs from now, by Redis's clock
-- ARGV[2] reason
-- ARGV[3] who
-- ARGV[4] channel the notices' channel
-- Answers 1 when it is longer than what stood, by more than 100 ms: then it is worth telling.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('HGET', KEYS[1], 'hold') or 0)
local after = now + tonumber(ARGV[1])
if after <= before then return 0 end
redis.call('HSET', KEYS[1], 'hold', string.format('%.0f', after), 'held', cjson.encode({ reason = ARGV[2], who = ARGV[3], at = now }))
redis.call('PUBLISH', ARGV[4], cjson.encode({ kind = 'held', forMs = after - now }))
return after > before + 100 and 1 or 0
