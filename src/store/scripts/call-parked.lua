-- Lets parked jobs come before their time, one after the other, because what they wait for has more room. Of those given only
-- whoever waits at that gate for that reason; none comes later than it would have.
-- KEYS[1] delayed
-- KEYS[2] marker
-- KEYS[3] parked  those at that gate, for whoever counts them
-- ARGV[1] jobs    what the key of each begins with
-- ARGV[2] ids     JSON list
-- ARGV[3] fields  JSON of the names of theirs: { gate, reason, until }
-- ARGV[4] gate
-- ARGV[5] reason  what theirs begins with
-- ARGV[6] isOther 1: only those whose reason does not begin with it
-- ARGV[7] startMs the first comes so long from now
-- ARGV[8] stepMs  each so long after the one before
-- Answers how many come sooner.
local fields, reason, isOther = cjson.decode(ARGV[3]), ARGV[5], ARGV[6] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local called = 0
for _, id in ipairs(cjson.decode(ARGV[2])) do
  local job = ARGV[1] .. id
  local seen = redis.call('HMGET', job, fields.gate, fields.reason)
  -- BullMQ's score: milliseconds, and 12 bits that keep an order within one.
  local score = tonumber(redis.call('ZSCORE', KEYS[1], id))
  local at = now + tonumber(ARGV[7]) + called * tonumber(ARGV[8])
  local isMeant = ((seen[2] or ''):sub(1, #reason) == reason) ~= isOther
  if score and score > (at + 1) * 4096 and seen[1] == ARGV[4] and isMeant then
    redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', at * 4096), id)
    redis.call('HSET', job, fields['until'], string.format('%.0f', at), 'delay', string.format('%.0f', at - now))
    redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', at), id)
    called = called + 1
  end
end
-- As BullMQ does: who waits for work is told when the next is due.
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if called > 0 and head then redis.call('ZADD', KEYS[2], string.format('%.0f', math.floor(head / 4096)), '1') end
return called
