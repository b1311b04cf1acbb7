-- Takes what an attempt needs of the limits that only its job decides (tokens, and those of its agent): all or none.
-- Instants are Redis's, in ms. A use is a member of `uses` until its score; its amount stands in the hash `amounts`, beside `sum`, the
-- part of it that is under way (`flying`), what one use took in the mean (`mean`, `held` ms) and the last instant promised, with the size
-- that it was reckoned with (`line`).
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- KEYS[2] agents the sorted set of those of whom something counts, by until when at the most
-- ARGV[1] takes JSON list, see take-own-limits.ts: the keys of each are in it, because their number varies
-- ARGV[2] tries how often the job was sent away before
-- ARGV[3] spread 0 to 1, at random
-- Answers { 'taken' }, { 'gone' } when the state is not here or of another run of Redis, { 'shut', ms }, { 'over', limit, size, ms, 0 for no known end } or { 'wait', limit, used, size, ms }.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local takes = cjson.decode(ARGV[1])

local fields = { 'born', 'closed', 'hold', 'run' }
for _, take in ipairs(takes) do
  fields[#fields + 1] = 'lim:' .. take.limit
  fields[#fields + 1] = 'set:' .. take.limit
end
local values = redis.call('HMGET', KEYS[1], unpack(fields))
if not values[1] then return { 'gone' } end
-- Another run of Redis may have begun from an older state, where what was taken last is missing. Asked here, for 8 us: see ask-permits.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and info:match('run_id:(%x+)') or ''
if values[4] ~= run then return { 'gone' } end
for i, take in ipairs(takes) do
  local defined, override = values[3 + 2 * i], values[4 + 2 * i]
  if not defined then return { 'gone' } end
  take.size = tonumber(defined:match('^%S+ (%S+)'))
  if override then
    local set = cjson.decode(override)
    local ends = type(set['until']) == 'number' and set['until']
    if not ends or ends > now then
      if ends and set.size < take.size then take.largerAt = ends end
      take.size = set.size
    end
  end
  if take.kind == 'tokens' and take.amount > take.size then
    return { 'over', take.limit, take.size, math.ceil((take.largerAt or now) - now) }
  end
end
local shutUntil = math.max(tonumber(values[2] or 0), tonumber(values[3] or 0))
if shutUntil > now then return { 'shut', math.ceil(shutUntil - now) } end

local function remove(take, members)
  if #members == 0 then return end
  local amounts = redis.call('HMGET', take.amounts, unpack(members))
  local sum, flying = 0, 0
  for i, amount in ipairs(amounts) do
    sum = sum + (tonumber(amount) or 0)
    if members[i]:sub(1, 1) ~= '=' then flying = flying + (tonumber(amount) or 0) end
  end
  redis.call('ZREM', take.uses, unpack(members))
  redis.call('HDEL', take.amounts, unpack(members))
  redis.call('HINCRBY', take.amounts, 'sum', string.format('%.0f', 0 - sum))
  redis.call('HINCRBY', take.amounts, 'flying', string.format('%.0f', 0 - flying))
end

-- When so much will have stopped counting, of what is at the end first: a request that has not arrived counts from now at the soonest.
local function freeAt(take, missing)
  local found = redis.call('ZRANGE', take.uses, 0, 199, 'WITHSCORES')
  local freed, last = 0, now
  for i = 1, #found, 2 do
    last = tonumber(found[i + 1])
    if found[i]:sub(1, 1) ~= '=' then last = math.min(last, now + take.perMs) end
    freed = freed + (tonumber(redis.call('HGET', take.amounts, found[i])) or 0)
    if freed >= missing then break end
  end
  return last
end

-- When to come again. Newcomers come one after the other, as fast as the limit lets them through: sent to one instant, the whole
-- backlog would come each time that one can go. Who was sent away is told the first instant, twice, and then stands in line anew.
local tries, spread = tonumber(ARGV[2]), tonumber(ARGV[3])
local function comeAgain(take, missing)
  local seen = redis.call('HMGET', take.amounts, 'flying', 'held', 'mean', 'line')
  local heldMs = math.max(50, math.min(tonumber(seen[2] or 100), 15000))
  local due, step
  if take.kind ~= 'count' and tonumber(seen[1] or 0) >= missing then
    -- Nobody knows when what runs now gives back; as long as none did, it is asked less and less often.
    local times = math.max(1, tries)
    due = now + math.min(15000, heldMs * (seen[2] and math.min(times, 5) or 2 ^ math.min(times - 1, 8)))
  else
    due = freeAt(take, missing)
  end
  if take.kind == 'concurrent' then
    step = heldMs * take.amount / take.size
  else
    step = take.perMs * tonumber(seen[3] or take.amount) / take.size
  end
  local first = due
  if tries % 3 == 0 then
    local farMs = math.max(60000, take.perMs)
    local last, size = (seen[4] or ''):match('^(%S+) (%S+)$')
    local inLine = math.max(due, tonumber(size) == take.size and last + step or 0)
    if inLine > due + farMs then
      due = due + spread * farMs
    else
      due = inLine
      redis.call('HSET', take.amounts, 'line', string.format('%.0f %.0f', due, take.size))
    end
  end
  -- By then an order has ended that made it smaller. One every 5 ms, as those are called whose limit somebody makes larger.
  if take.largerAt then due = math.min(due, take.largerAt + 5 * math.min(10000, (due - first) / step)) end
  return math.max(1, math.ceil(due - now))
end

local worst, waitMs
for _, take in ipairs(takes) do
  remove(take, redis.call('ZRANGEBYSCORE', take.uses, '-inf', now, 'LIMIT', 0, 500))
  take.used = tonumber(redis.call('HGET', take.amounts, 'sum')) or 0
  -- The same command may come twice: what it holds already is not taken again.
  take.own = tonumber(redis.call('HGET', take.amounts, take.id)) or 0
  local missing = take.used - take.own + take.amount - take.size
  if missing > 0 then
    local ms = comeAgain(take, missing)
    if not worst or ms > waitMs then worst, waitMs = take, ms end
  end
end
if worst then return { 'wait', worst.limit, worst.used, worst.size, waitMs } end

local agent, agentUntil
for _, take in ipairs(takes) do
  local more = string.format('%.0f', take.amount - take.own)
  redis.call('ZADD', take.uses, now + math.ceil(take.forMs) + take.perMs, take.id)
  redis.call('HSET', take.amounts, take.id, string.format('%.0f', take.amount))
  redis.call('HINCRBY', take.amounts, 'sum', more)
  redis.call('HINCRBY', take.amounts, 'flying', more)
  -- An agent that never comes back leaves nothing. Both at one instant: one without the other would be wrong.
  local last = tonumber(redis.call('ZRANGE', take.uses, -1, -1, 'WITHSCORES')[2])
  redis.call('PEXPIREAT', take.uses, string.format('%.0f', last + 60000))
  redis.call('PEXPIREAT', take.amounts, string.format('%.0f', last + 60000))
  -- An attempt acts as one agent.
  if take.agent then agent, agentUntil = take.agent, math.max(agentUntil or 0, last) end
end
if agent then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', agentUntil), agent)
  local last = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2])
  redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last + 60000))
end
return { 'taken' }
