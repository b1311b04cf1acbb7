-- What becomes of uses taken by take-own-limits: gone, or counted by what they came to, or kept, or more than was thought.
-- Instants are Redis's, in ms; what lies in `uses` and `amounts` is told there.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- KEYS[2] agents the sorted set of those of whom something counts, by until when at the most
-- ARGV[1] changes JSON list, see settle-own-limits.ts: the keys of each are in it, because their number varies
-- Answers { 'gone' } when the upstream's state is not here, or { 'settled', ids of those that could not be kept … }.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changes = cjson.decode(ARGV[1])
-- In whichever run of Redis: what became of a use is true of an older state as well. Only a take relies on the rest being there.
if redis.call('HEXISTS', KEYS[1], 'born') == 0 then return { 'gone' } end

local function sizeOf(limit)
  local values = redis.call('HMGET', KEYS[1], 'lim:' .. limit, 'set:' .. limit)
  if values[2] then
    local set = cjson.decode(values[2])
    if type(set['until']) ~= 'number' or set['until'] > now then return set.size end
  end
  -- A limit that nobody defines any more holds nobody.
  return values[1] and tonumber(values[1]:match('^%S+ (%S+)')) or math.huge
end

local function count(change, field, more)
  return redis.call('HINCRBY', change.amounts, field, string.format('%.0f', more))
end
local function mean(change, field, value)
  if not value then return end
  local before = tonumber(redis.call('HGET', change.amounts, field) or value)
  redis.call('HSET', change.amounts, field, string.format('%.3f', before * 0.8 + value * 0.2))
end
local function put(change, amount, untilAt)
  redis.call('ZADD', change.uses, untilAt, change.id)
  redis.call('HSET', change.amounts, change.id, string.format('%.0f', amount))
  count(change, 'sum', amount)
  count(change, 'flying', amount)
end

local answer = { 'settled' }
for _, change in ipairs(changes) do
  local amount = tonumber(redis.call('HGET', change.amounts, change.id))
  if change.what == 'keep' then
    local untilAt = now + math.ceil(change.forMs)
    if amount then
      -- With a request on the wire its end is never drawn nearer.
      redis.call('ZADD', change.uses, 'XX', change.isWired and 'GT' or 'CH', untilAt, change.id)
    elseif (tonumber(redis.call('HGET', change.amounts, 'sum')) or 0) + change.amount <= sizeOf(change.limit) then
      put(change, change.amount, untilAt) -- it ran out, or all was gone, and nobody else has it
    else
      answer[#answer + 1] = change.id
    end
  elseif change.what == 'raise' then
    if not amount then
      put(change, change.amount, now + math.ceil(change.forMs) + change.perMs)
    elseif change.amount > amount then
      redis.call('HSET', change.amounts, change.id, string.format('%.0f', change.amount))
      count(change, 'sum', change.amount - amount)
      count(change, 'flying', change.amount - amount)
    end
  else
    if amount then
      redis.call('ZREM', change.uses, change.id)
      redis.call('HDEL', change.amounts, change.id)
      count(change, 'sum', 0 - amount)
      count(change, 'flying', 0 - amount)
    end
    mean(change, 'held', change.heldMs)
    if change.what == 'settle' then
      -- Uses that end within a thousandth of the interval count as one, until the last of them does not.
      local grain = math.max(1, math.floor(change.perMs / 1000))
      local untilAt = math.ceil((now + 1 - change.agoMs) / grain) * grain + change.perMs
      mean(change, 'mean', change.amount)
      if untilAt > now and change.amount > 0 then
        local member = string.format('=%.0f', untilAt)
        redis.call('ZADD', change.uses, untilAt, member)
        count(change, member, change.amount)
        count(change, 'sum', change.amount)
      end
    end
  end
  local last = tonumber(redis.call('ZRANGE', change.uses, -1, -1, 'WITHSCORES')[2]) or now
  -- What comes later than the take knew.
  if change.agent and change.what ~= 'drop' and last > now then
    redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', last), change.agent)
  end
  redis.call('PEXPIREAT', change.uses, string.format('%.0f', last + 60000))
  redis.call('PEXPIREAT', change.amounts, string.format('%.0f', last + 60000))
end
local last = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2])
if last then redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last + 60000)) end
return answer
