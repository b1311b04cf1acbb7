-- What is in use of one limit that is taken with the job (tokens, or an agent's own), in each of several places at one instant by
-- Redis's clock. Reads only. `sum` and `flying` may hold what has ended and was not yet purged, so that is taken off; where more
-- than 1,000 have ended the rest is still counted, never too little.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- ARGV[1] limit
-- ARGV[2] places JSON list of { uses, amounts }: the keys of each agent, or of all
-- Answers the instant, the definition and the order ('' for none), and of each place the use, what of it is under way, when the
-- next stops to count at the latest (0: nothing is in use), and who has how much under way: '<lane>|<pod>', amount, …
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, places = ARGV[1], cjson.decode(ARGV[2])
local found = redis.call('HMGET', KEYS[1], 'lim:' .. limit, 'set:' .. limit)

local function amountsOf(place, members)
  return #members > 0 and redis.call('HMGET', place.amounts, unpack(members)) or {}
end

-- Those under way end last: what has come to its end counts for a shorter time than what may still be sent.
local most = math.max(20, math.floor(5000 / math.max(1, #places)))
local function holdersOf(place)
  local members = {}
  for _, member in ipairs(redis.call('ZREVRANGEBYSCORE', place.uses, '+inf', '(' .. now, 'LIMIT', 0, most)) do
    if member:sub(1, 1) ~= '=' then members[#members + 1] = member end
  end
  local sums, holders = {}, {}
  for i, amount in ipairs(amountsOf(place, members)) do
    local lane, pod = members[i]:match('^([^|]*)|.*|([^|]*)|[^|]*$')
    local holder = lane and lane .. '|' .. pod or members[i]
    sums[holder] = (sums[holder] or 0) + (tonumber(amount) or 0)
  end
  for holder, sum in pairs(sums) do
    holders[#holders + 1] = holder
    holders[#holders + 1] = sum
  end
  return holders
end

local seen = {}
for i, place in ipairs(places) do
  local sums = redis.call('HMGET', place.amounts, 'sum', 'flying')
  local inUse, flying = tonumber(sums[1] or 0), tonumber(sums[2] or 0)
  local ended = redis.call('ZRANGEBYSCORE', place.uses, '-inf', now, 'LIMIT', 0, 1000)
  for at, amount in ipairs(amountsOf(place, ended)) do
    inUse = inUse - (tonumber(amount) or 0)
    if ended[at]:sub(1, 1) ~= '=' then flying = flying - (tonumber(amount) or 0) end
  end
  local next = redis.call('ZRANGEBYSCORE', place.uses, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  seen[i] = { math.max(0, inUse), math.max(0, flying), tonumber(next[2] or 0), holdersOf(place) }
end
return { now, found[1] or '', found[2] or '', seen }
