-- Ends a hold before its time, by somebody's order, and tells every pod and the journal in the same step: nobody
-- dies between them.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- KEYS[2] journal
-- ARGV[1] channel the notices' channel
-- ARGV[2] who
-- ARGV[3] known JSON of upstream and reason
-- Answers for how many ms it would have held on and JSON of who was told and why; { 0, '' } where nothing is held, and then
-- nothing changes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'hold', 'held')
local left = tonumber(found[1] or 0) - now
if left <= 0 then return { 0, '' } end
redis.call('HDEL', KEYS[1], 'hold', 'held')
redis.call('HINCRBY', KEYS[1], 'rev', 1)
redis.call('PUBLISH', ARGV[1], '{"kind":"released"}')
local held = cjson.decode(found[2] or '{}')
writeEntry('limit.released', KEYS[2], ARGV[2], ARGV[3], {
  leftMs = left, beforeAt = tonumber(found[1]), afterAt = cjson.null, toldBy = held.who or cjson.null, told = held.reason or cjson.null,
})
return { left, found[2] or '' }
