-- What is in use of one limit that is taken before a job is here, at one instant by Redis's clock, whichever driver keeps it.
-- Reads only. `used` may hold what has ended and was not yet purged, so that is taken off; of more than 1,000 such members the
-- rest is still counted, never too little.
-- KEYS[1] limits
-- KEYS[2] uses
-- KEYS[3] leases    Bottleneck's: slot -> until when it is held
-- KEYS[4] holders   of Bottleneck's slots
-- ARGV[1] limit
-- ARGV[2] isSlots   1 when each member is one slot
-- ARGV[3] lanes     JSON list of those whose tickets are asked for
-- Answers the instant, the use, when the next stops to count (0: nobody knows), the definition and the order ('' for none), the
-- lanes' tickets in their order, and of slots (5,000 at the most) who holds how many: '<lane>|<pod>', count, …

local limits, uses, leases = KEYS[1], KEYS[2], KEYS[3]
local limit, isSlots, lanes = ARGV[1], ARGV[2] == '1', cjson.decode(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local fields = { 'lim:' .. limit, 'set:' .. limit, 'used:' .. limit }
for i = 1, #lanes do fields[3 + i] = 'used:' .. limit .. '|' .. lanes[i] end
local found = redis.call('HMGET', limits, unpack(fields))

local inUse, freesAt, ofLanes, holders = 0, 0, {}, {}
if isSlots then
  local counts = {}
  local function hold(holder) if holder then counts[holder] = (counts[holder] or 0) + 1 end end
  local function membersOf(key) return redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf', 'LIMIT', 0, 5000) end
  inUse = redis.call('ZCOUNT', uses, '(' .. now, '+inf') + redis.call('ZCOUNT', leases, '(' .. now, '+inf')
  for _, member in ipairs(membersOf(uses)) do hold(member:match('^(.*)|[^|]*$')) end
  local slots = membersOf(leases)
  for _, holder in ipairs(#slots > 0 and redis.call('HMGET', KEYS[4], unpack(slots)) or {}) do hold(holder) end
  for holder, count in pairs(counts) do
    holders[#holders + 1] = holder
    holders[#holders + 1] = count
  end
else
  local ended, byLane = 0, {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', uses, '-inf', now, 'LIMIT', 0, 1000)) do
    local count = tonumber(redis.call('HGET', limits, 'n:' .. limit .. '|' .. member) or 0)
    local lane = member:match('^[^|]*')
    ended, byLane[lane] = ended + count, (byLane[lane] or 0) + count
  end
  inUse = tonumber(found[3] or 0) - ended
  for i, lane in ipairs(lanes) do ofLanes[i] = math.max(0, tonumber(found[3 + i] or 0) - (byLane[lane] or 0)) end
  freesAt = tonumber(redis.call('ZRANGEBYSCORE', uses, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or 0)
end
return { now, math.max(0, inUse), freesAt, found[1] or '', found[2] or '', ofLanes, holders }
