-- Brings a pod and Bottleneck's state in Redis into step, at one instant by Redis's clock: makes leases anew, tells which
-- slots are held no more, whether anybody may be let through now, and who else waits. Nothing is handed out without it.
-- Bottleneck's own figure of what runs is put right where a lost reply made it wrong. What is handed out is written down for
-- whoever looks, tickets as ask-permits.lua does it.
-- KEYS[1] limits
-- KEYS[2] slotSettings
-- KEYS[3] ticketSettings
-- KEYS[4] expirations
-- KEYS[5] weights
-- KEYS[6] queued
-- KEYS[7] running
-- KEYS[8] seen
-- KEYS[9] holders   slot -> '<lane>|<pod>'
-- KEYS[10] uses     of the count
-- ARGV[1] client
-- ARGV[2] leaseMs
-- ARGV[3] renewed   JSON list of slots
-- ARGV[4] checked   JSON list of slots whose leases stay
-- ARGV[5] known     the birth of the state as this pod last saw it, '' for never
-- ARGV[6] closeMs   for how long nothing is granted when the state was lost
-- ARGV[7] holdMs    nobody is let through for so long from now; 0 for no wish
-- ARGV[8] held      JSON of why
-- ARGV[9] holder    '<lane>|<pod>' of those renewed; '' for nobody yet
-- ARGV[10] tickets  how many it is about to have
-- ARGV[11] count    the limit they are of
-- ARGV[12] perMs    of that limit
-- ARGV[13] sendMs   for how long from now they may arrive
-- Answers the instant, the birth of the state, for how long nobody is let through, how many other pods wait for slots, how many
-- use the limit at all, what is used, the lost slots, and 1 where the state was lost, which one pod hears.
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
-- Told by who closes it: that nothing is left of what this pod had seen. A limiter more, or one less, is no loss.
local isLost = ARGV[5]:match('[^|]') ~= nil and tonumber(redis.call('HGET', limits, 'closed') or 0) <= now
for part in ARGV[5]:gmatch('[^|]+') do
  for other in born:gmatch('[^|]+') do isLost = isLost and part ~= other end
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
lease(cjson.decode(ARGV[3]), tonumber(ARGV[2]), ARGV[9])
lease(cjson.decode(ARGV[4]), 0, '')
local used = redis.call('HLEN', KEYS[5])
if redis.call('HEXISTS', KEYS[2], 'running') == 1 then redis.call('HSET', KEYS[2], 'running', used) end
redis.call('PEXPIRE', KEYS[9], 60000)
local tickets, shutMs = tonumber(ARGV[10]), math.max(0, closed, hold)
if tickets > 0 and shutMs == 0 then
  local perMs, lane, used = tonumber(ARGV[12]), ARGV[9]:match('^[^|]*'), 'used:' .. ARGV[11]
  local function use(member, n)
    local of = member:match('^[^|]*')
    if redis.call('HINCRBY', limits, 'n:' .. ARGV[11] .. '|' .. member, n) <= 0 then redis.call('HDEL', limits, 'n:' .. ARGV[11] .. '|' .. member) end
    redis.call('HINCRBY', limits, used, n)
    redis.call('HINCRBY', limits, used .. '|' .. of, n)
  end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[10], '-inf', now, 'LIMIT', 0, 500)) do
    redis.call('ZREM', KEYS[10], member)
    use(member, -tonumber(redis.call('HGET', limits, 'n:' .. ARGV[11] .. '|' .. member) or 0))
  end
  local grain = math.max(1, math.floor(perMs / 1000))
  local score = math.ceil((now + tonumber(ARGV[13])) / grain) * grain + perMs
  local member = string.format('%s|%.0f', lane, score)
  redis.call('ZADD', KEYS[10], score, member)
  use(member, tickets)
end
local waiting, active = 0, 0
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[8], now - 3000, '+inf')) do
  local isWaiting = tonumber(redis.call('HGET', KEYS[6], other) or 0) > 0
  if isWaiting and other ~= client then waiting = waiting + 1 end
  if isWaiting or tonumber(redis.call('ZSCORE', KEYS[7], other) or 0) > 0 then active = active + 1 end
end
return { now, born, shutMs, waiting, active, used, lost, isLost and 1 or 0 }
