-- What is in use of one limit and how large it is, at one instant by Redis's clock. Reads only. `used` may hold what has ended and
-- was not yet purged, so that is taken off; of more than 1,000 such members the rest is still counted, never too little.
-- KEYS[1] limits
-- KEYS[2] uses
-- ARGV[1] limit
-- ARGV[2] use       the limit, of one by agent with ':' and the agent
-- ARGV[3] isSlots   1 when each member is one slot
-- ARGV[4] lanes     JSON list of those whose use is asked for
-- Answers the instant, the use, when the next stops to count (0: nobody knows), the definition and the order ('' for none), the
-- lanes' uses in their order, and of slots who holds how many: '<lane>|<pod>', count, …

local limits, uses = KEYS[1], KEYS[2]
local limit, use, isSlots, lanes = ARGV[1], ARGV[2], ARGV[3] == '1', cjson.decode(ARGV[4])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local fields = { 'lim:' .. limit, 'set:' .. limit, 'used:' .. use }
for i = 1, #lanes do fields[3 + i] = 'used:' .. use .. '|' .. lanes[i] end
local found = redis.call('HMGET', limits, unpack(fields))

local ended, byLane = 0, {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', uses, '-inf', now, 'LIMIT', 0, 1000)) do
  local count = isSlots and 1 or tonumber(redis.call('HGET', limits, 'n:' .. use .. '|' .. member) or 0)
  local lane = string.match(member, '^[^|]*')
  ended, byLane[lane] = ended + count, (byLane[lane] or 0) + count
end
local inUse = tonumber(found[3] or 0) - ended
local ofLanes = {}
for i, lane in ipairs(lanes) do ofLanes[i] = math.max(0, tonumber(found[3 + i] or 0) - (byLane[lane] or 0)) end

local freesAt, holders = 0, {}
if isSlots then
  inUse = redis.call('ZCOUNT', uses, '(' .. now, '+inf')
  local counts = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', uses, '(' .. now, '+inf', 'LIMIT', 0, 1000)) do
    local holder = string.match(member, '^(.*)|[^|]*$') or member
    counts[holder] = (counts[holder] or 0) + 1
  end
  for holder, count in pairs(counts) do
    holders[#holders + 1] = holder
    holders[#holders + 1] = count
  end
else
  freesAt = tonumber(redis.call('ZRANGEBYSCORE', uses, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or 0)
end
return { now, math.max(0, inUse), freesAt, found[1] or '', found[2] or '', ofLanes, holders }
