-- The heads of a lane's line, from the ends of its lists and sorted sets: as cheap for a million jobs as for ten, and one command,
-- for it is asked of every lane every two seconds. Reads only. Three waiting jobs are looked at: the next of the wait list, the
-- next of the ranked, and the first of the lowest rank, which starves when others keep coming.
-- KEYS[1] wait
-- KEYS[2] prioritized
-- KEYS[3] delayed
-- KEYS[4] active
-- KEYS[5] meta
-- ARGV[1] queue
-- ARGV[2] untilField
-- ARGV[3] sinceField
-- Replies {how many are active, 1 when paused, {id, score} of the delayed job that is due first, the waiting ones}, each of these
-- as {id, timestamp, opts, until, since}; one that was removed meanwhile is left out.
local wait, prioritized, delayed, active, meta = unpack(KEYS)
local queue, untilField, sinceField = unpack(ARGV)

local waiting, seen = {}, {}
local function look(id)
  if not id or seen[id] then return end
  seen[id] = true
  local timestamp, opts, untilAt, sinceAt = unpack(redis.call('HMGET', queue .. id, 'timestamp', 'opts', untilField, sinceField))
  if timestamp then waiting[#waiting + 1] = { id, timestamp, opts, untilAt, sinceAt } end
end

look(redis.call('LINDEX', wait, -1))
look(redis.call('ZRANGE', prioritized, 0, 0)[1])
local lowest = redis.call('ZRANGE', prioritized, -1, -1, 'WITHSCORES')[2]
if lowest then
  -- BullMQ's score is priority * 2^32 + counter.
  local rank = math.floor(tonumber(lowest) / 4294967296) * 4294967296
  look(redis.call('ZRANGEBYSCORE', prioritized, string.format('%.0f', rank), '+inf', 'LIMIT', 0, 1)[1])
end

local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
return { redis.call('LLEN', active), redis.call('HEXISTS', meta, 'paused'), due, waiting }
