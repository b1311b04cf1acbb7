-- Brings a pod and Bottleneck's state in Redis into step, at one instant by Redis's clock: makes leases anew, tells which
-- slots are held no more, whether anybody may be let through now, and who else waits. Nothing is handed out without it.
-- Bottleneck's own figures are put right where a lost reply made them wrong: what runs, and how many this pod has queued.
-- KEYS[1] limits
-- KEYS[2] slotSettings
-- KEYS[3] ticketSettings
-- KEYS[4] expirations
-- KEYS[5] weights
-- KEYS[6] queued
-- KEYS[7] running
-- KEYS[8] seen
-- KEYS[9] holders   slot -> '<lane>|<pod>', for whoever looks
-- ARGV[1] client
-- ARGV[2] leaseMs
-- ARGV[3] renewed   JSON list of slots
-- ARGV[4] checked   JSON list of slots whose leases stay
-- ARGV[5] known     the birth of the state as this pod last saw it, '' for never
-- ARGV[6] closeMs   for how long nothing is granted when the state was lost
-- ARGV[7] holdMs    nobody is let through for so long from now; 0 for no wish
-- ARGV[8] held      JSON of why
-- ARGV[9] queuedNow how many this pod has queued; -1 leaves what is there
-- ARGV[10] holder   '<lane>|<pod>' of those renewed; '' for nobody yet
-- Answers the instant, the birth of the state, for how long nobody is let through, how many other pods wait for slots, how many
-- use the limit at all, what is used, and the lost slots.
local limits, expirations, client = KEYS[1], KEYS[4], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local born = {}
for i = 2, 3 do
  local settings = KEYS[i]
  if redis.call('EXISTS', settings) == 1 then redis.call('HSETNX', settings, 'lk:born', time[1] .. '.' .. time[2]) end
  born[#born + 1] = redis.call('HGET', settings, 'lk:born') or ''
end
born = table.concat(born, '|')
local function later(field, ms)
  local untilAt = math.max(tonumber(redis.call('HGET', limits, field) or 0), ms > 0 and now + ms or 0)
  if ms > 0 then redis.call('HSET', limits, field, string.format('%.0f', untilAt)) end
  return untilAt - now
end
local closed = later('closed', ARGV[5] ~= '' and ARGV[5] ~= born and tonumber(ARGV[6]) or 0)
local hold = later('hold', tonumber(ARGV[7]))
-- Our scripts grant, because their pods were there first: nothing, until past the next beat.
if redis.call('HGET', limits, 'driver') == 'scripts' then closed = math.max(closed, 1500) end
if ARGV[8] ~= '' then redis.call('HSET', limits, 'held', ARGV[8]) end
local lost = {}
local function lease(slots, ms, holder)
  for _, slot in ipairs(slots) do
    local untilAt = tonumber(redis.call('ZSCORE', expirations, slot) or 0)
    if untilAt == 0 or not redis.call('HGET', KEYS[5], slot) then lost[#lost + 1] = slot
    else
      if untilAt < now + ms then redis.call('ZADD', expirations, string.format('%.0f', now + ms), slot) end
      if holder ~= '' then redis.call('HSET', KEYS[9], slot, holder) end
    end
  end
end
lease(cjson.decode(ARGV[3]), tonumber(ARGV[2]), ARGV[10])
lease(cjson.decode(ARGV[4]), 0, '')
local used = redis.call('HLEN', KEYS[5])
if redis.call('HEXISTS', KEYS[2], 'running') == 1 then redis.call('HSET', KEYS[2], 'running', used) end
if tonumber(ARGV[9]) >= 0 then
  if redis.call('ZSCORE', KEYS[8], client) then redis.call('HSET', KEYS[6], client, ARGV[9]) end
  for _, slot in ipairs(redis.call('HKEYS', KEYS[9])) do
    if redis.call('HEXISTS', KEYS[5], slot) == 0 then redis.call('HDEL', KEYS[9], slot) end
  end
end
redis.call('PEXPIRE', KEYS[9], 60000)
local waiting, active = 0, 0
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[8], now - 3000, '+inf')) do
  local isWaiting = tonumber(redis.call('HGET', KEYS[6], other) or 0) > 0
  if isWaiting and other ~= client then waiting = waiting + 1 end
  if isWaiting or tonumber(redis.call('ZSCORE', KEYS[7], other) or 0) > 0 then active = active + 1 end
end
return { now, born, math.max(0, closed, hold), waiting, active, used, lost }
