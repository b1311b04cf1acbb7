-- Writes down what a pod waits for, as ask-permits.lua does it, for whoever looks; what nobody renews is dropped. Puts right how
-- many Bottleneck thinks that it has queued, and drops who held slots that have ended.
-- KEYS[1] limits
-- KEYS[2] waiting
-- KEYS[3] holders   slot -> '<lane>|<pod>'
-- KEYS[4] weights
-- KEYS[5] queued
-- KEYS[6] seen
-- ARGV[1] pod
-- ARGV[2] wants     JSON list of { lane, slots, tickets, weight }
-- ARGV[3] validMs   what it wants is void without another word by then
-- ARGV[4] client
-- ARGV[5] queuedNow how many it has queued
local limits, waiting, pod = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wants = {}
-- While the other driver grants, it would keep what is free for who stands in this line and cannot come.
local isOurs = redis.call('HGET', limits, 'driver') == 'bottleneck'
for _, want in ipairs(isOurs and cjson.decode(ARGV[2]) or {}) do
  local member = want.lane .. '|' .. pod
  wants[member] = true
  redis.call('ZADD', waiting, 'NX', now, member)
  local text = string.format('%d %d %.17g %.0f 0 0 0 1', want.slots, want.tickets, want.weight, now + tonumber(ARGV[3]))
  redis.call('HSET', limits, 'want:' .. member, text)
end
for _, member in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do
  local untilAt = tonumber((redis.call('HGET', limits, 'want:' .. member) or ''):match('^%S+ %S+ %S+ (%S+)') or 0)
  if untilAt < now or (member:match('|(.*)$') == pod and not wants[member]) then
    redis.call('ZREM', waiting, member)
    redis.call('HDEL', limits, 'want:' .. member)
  end
end
for _, slot in ipairs(redis.call('HKEYS', KEYS[3])) do
  if redis.call('HEXISTS', KEYS[4], slot) == 0 then redis.call('HDEL', KEYS[3], slot) end
end
if redis.call('ZSCORE', KEYS[6], ARGV[4]) then redis.call('HSET', KEYS[5], ARGV[4], ARGV[5]) end
