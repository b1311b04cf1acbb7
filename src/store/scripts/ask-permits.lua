-- Takes back what a lane's pod holds no more, renews what it keeps, and grants what it wants of all of an upstream's limits
-- together, or hands that to a lane that is further below its share. Instants are Redis's, in ms.
-- KEYS[1] limits the hash: sizes, uses, holds, what who wants
-- KEYS[2] waiting the sorted set of '<lane>|<pod>' by since when it waits
-- KEYS[3] slots the sorted set of what is held of `concurrent`
-- ARGV[1] ask JSON, see ask-permits.ts
-- ARGV[2] channel the notices' channel
-- Answers { 'gone' } when the upstream's state is not here, of another run of Redis, or not as the pod knows it, or { slot ids, batch, tickets, lost ids, again in ms, contended 0|1 }.
local hash, waiting, slotsKey = KEYS[1], KEYS[2], KEYS[3]
local ask = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local self = ask.lane .. '|' .. ask.pod

-- The limits, at the sizes that hold now.
local fields = { 'born', 'closed', 'hold', 'run', 'rev', 'next', 'want:' .. self }
for _, name in ipairs(ask.limits) do
  fields[#fields + 1] = 'lim:' .. name
  fields[#fields + 1] = 'set:' .. name
  fields[#fields + 1] = 'used:' .. name
end
local values = redis.call('HMGET', hash, unpack(fields))
if not values[1] then return { 'gone' } end
-- Asked here, for 8 us, and not by the pod: what a pod sends again after a reconnect would name the Redis that was there before.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and info:match('run_id:(%x+)') or ''
if values[4] ~= run then return { 'gone' } end
if ask.rev and ask.rev ~= tonumber(values[5] or 0) then return { 'gone' } end
local shutUntil = math.max(tonumber(values[2] or 0), tonumber(values[3] or 0))
local slots
local counts = {}
for index, name in ipairs(ask.limits) do
  local at = 5 + index * 3
  if not values[at] then return { 'gone' } end
  local kind, size, per = values[at]:match('^(%S+) (%S+) (%S+)')
  local limit = { name = name, size = tonumber(size), per = tonumber(per), used = tonumber(values[at + 2] or 0) }
  if values[at + 1] then
    local set = cjson.decode(values[at + 1])
    if type(set['until']) ~= 'number' or set['until'] > now then limit.size = set.size end
  end
  if kind == 'concurrent' then
    limit.key = slotsKey
    slots = limit
  else
    limit.key = slotsKey:gsub('[^:]*$', '') .. name
    counts[#counts + 1] = limit
  end
end

local function use(limit, lane, count)
  limit.used = limit.used + count
  redis.call('HINCRBY', hash, 'used:' .. limit.name, count)
  redis.call('HINCRBY', hash, 'used:' .. limit.name .. '|' .. lane, count)
end

-- What stopped counting. At the most 500 of each at a time: the next ask goes on.
local function purge(limit)
  local ended = redis.call('ZRANGEBYSCORE', limit.key, '-inf', now, 'LIMIT', 0, 500)
  if #ended == 0 then return end
  redis.call('ZREM', limit.key, unpack(ended))
  for _, member in ipairs(ended) do
    local count = 1
    if limit ~= slots then
      local field = 'n:' .. limit.name .. '|' .. member
      count = tonumber(redis.call('HGET', hash, field) or 0)
      redis.call('HDEL', hash, field)
    end
    use(limit, member:match('^[^|]*'), -count)
  end
end
if slots then purge(slots) end
for _, limit in ipairs(counts) do purge(limit) end

-- Tickets of one batch count until the same instant, rounded up to a thousandth of the interval.
local function place(limit, instant)
  local grain = math.max(1, math.floor(limit.per / 1000))
  return math.ceil(instant / grain) * grain + limit.per
end
local function put(limit, lane, score, count)
  local member = string.format('%s|%.0f', lane, score)
  redis.call('ZADD', limit.key, score, member)
  redis.call('HINCRBY', hash, 'n:' .. limit.name .. '|' .. member, count)
  use(limit, lane, count)
end
local function take(limit, lane, score, count)
  local member = string.format('%s|%.0f', lane, score)
  local field = 'n:' .. limit.name .. '|' .. member
  local there = tonumber(redis.call('HGET', hash, field) or 0)
  count = math.min(count, there)
  if count <= 0 then return 0 end
  if count == there then
    redis.call('HDEL', hash, field)
    redis.call('ZREM', limit.key, member)
  else
    redis.call('HINCRBY', hash, field, -count)
  end
  use(limit, lane, -count)
  return count
end

-- Given back.
for _, id in ipairs(ask.freed) do
  if slots and redis.call('ZREM', slots.key, id) == 1 then use(slots, ask.lane, -1) end
end
-- An ask whose answer was lost with its connection is sent again: its tickets would go back twice, and twice out of a bucket that
-- the lane's other asks share. Slots have names: giving one back again changes nothing.
local isSeen = false
if #ask.unsent + #ask.sent > 0 then
  local driver, number = (redis.call('HGET', hash, 'ask:' .. self) or ''):match('^(%S+) (%S+)')
  isSeen = driver == ask.driver and ask.number <= tonumber(number)
  if not isSeen then redis.call('HSET', hash, 'ask:' .. self, string.format('%s %.0f %.0f', ask.driver, ask.number, now)) end
end
for _, ticket in ipairs(isSeen and {} or ask.unsent) do
  for _, limit in ipairs(counts) do take(limit, ask.lane, place(limit, ticket.batch), ticket.count) end
end
-- Sent and surely arrived: it counts from then, not from the last instant at which it might have.
for _, ticket in ipairs(isSeen and {} or ask.sent) do
  local arrived = math.ceil(now - ticket.arrivedMsAgo)
  for _, limit in ipairs(counts) do
    local before, after = place(limit, ticket.batch), place(limit, arrived)
    if after < before then
      local moved = take(limit, ask.lane, before, ticket.count)
      if moved > 0 then put(limit, ask.lane, after, moved) end
    end
  end
end

-- Kept. One that ran out meanwhile is had again while there is room; otherwise it may be another's.
local lost = {}
if slots then
  for _, kept in ipairs({ { ask.kept, 'XX' }, { ask.wired, 'GT' } }) do
    for _, id in ipairs(kept[1]) do
      if redis.call('ZSCORE', slots.key, id) then
        redis.call('ZADD', slots.key, 'XX', kept[2] == 'GT' and 'GT' or 'CH', now + ask.slotMs, id)
      elseif slots.used < slots.size then
        redis.call('ZADD', slots.key, now + ask.slotMs, id)
        use(slots, ask.lane, 1)
      else
        lost[#lost + 1] = id
      end
    end
  end
end

-- 5. Levels: how much of the upstream each lane has, of its tightest limit, over its weight. What was used counts for as long as the
-- interval, so a lane that came too late for a ticket is below its share until it has caught up.
local lanes = {}
local function laneOf(name, weight)
  local lane = lanes[name]
  if not lane then
    lane = { weight = weight, level = 0, promised = 0 }
    lanes[name] = lane
    local wanted = { 'order:' .. name }
    for _, limit in ipairs(counts) do wanted[#wanted + 1] = 'used:' .. limit.name .. '|' .. name end
    if slots then wanted[#wanted + 1] = 'used:' .. slots.name .. '|' .. name end
    local seen = redis.call('HMGET', hash, unpack(wanted))
    lane.last = tonumber(seen[1] or 0)
    for i, limit in ipairs(counts) do
      lane.level = math.max(lane.level, tonumber(seen[1 + i] or 0) / limit.size / weight)
    end
    if slots then lane.level = math.max(lane.level, tonumber(seen[#wanted] or 0) / slots.size / weight) end
  end
  return lane
end
-- The share of a lane that so much more is, of the limit that it weighs most on.
local function rise(lane, tickets, held)
  local most = 0
  if slots and held > 0 then most = held / slots.size end
  for _, limit in ipairs(counts) do most = math.max(most, tickets / limit.size) end
  lane.level = lane.level + most / lane.weight
end

-- 6. Who waits: '<slots> <tickets> <weight> <until> <called at> <called slots> <called tickets> <unit> <due> <due tickets>'.
-- Called: told by a notice to come, and what it was told of is kept for it for 30 ms. Due: it was told when so many tickets are
-- free, and comes by itself; if its lane is still the one to serve, they are its own.
local function read(text)
  local list = {}
  for value in (text or ''):gmatch('%S+') do list[#list + 1] = tonumber(value) end
  return list
end
local function isRecent(instant) return instant > now - 30 and instant <= now + 1 end
local freeSlots, freeTickets = math.huge, math.huge
if slots then freeSlots = slots.size - slots.used end
for _, limit in ipairs(counts) do freeTickets = math.min(freeTickets, limit.size - limit.used) end
local isShut = shutUntil > now
local mine = read(values[7])
local isKnownToWait = #mine > 0
-- More is held than may be, since the size became less: nobody hands on.
local isContended = slots ~= nil and slots.used > slots.size
-- The 64 that wait longest: who is behind them asks by itself.
local members = redis.call('ZRANGE', waiting, 0, 63)
local others, kept, isRead = {}, 0, false
local function readLine()
  if isRead or #members == 0 then return end
  isRead = true
  local wants = {}
  for i, member in ipairs(members) do wants[i] = 'want:' .. member end
  wants = redis.call('HMGET', hash, unpack(wants))
  for i, member in ipairs(members) do
    local list = read(wants[i])
    local isLate = list[4] and ((list[5] > 0 and list[5] <= now - 30) or (list[9] > 0 and list[9] <= now - 30))
    if member == self then
      -- What it says is in the ask.
    elseif not list[4] or list[4] < now or isLate then
      -- Gone, or expected and did not come: it asks again when it is well, and is as far below its share as it was.
      redis.call('ZREM', waiting, member)
      redis.call('HDEL', hash, 'want:' .. member)
    else
      local name = member:match('^[^|]*')
      local lane = laneOf(name, list[3])
      local other = { member = member, name = name, lane = lane, slots = list[1], tickets = list[2], list = list, toldSlots = 0, toldTickets = 0, unit = list[8] }
      if isRecent(list[5]) then
        other.isCalled = true
        other.toldSlots, other.toldTickets = list[6], list[7]
        freeSlots = freeSlots - list[6]
        freeTickets = freeTickets - list[7]
        kept = kept + list[7]
        rise(lane, list[7], list[6])
      elseif list[9] > 0 then
        other.isDue = isRecent(list[9])
        lane.promised = lane.promised + list[10]
      end
      others[#others + 1] = other
    end
  end
end
for _, member in ipairs(members) do
  local name = member:match('^[^|]*')
  isKnownToWait = isKnownToWait or name == ask.lane
  isContended = isContended or name ~= ask.lane
end

-- 7. One unit after the other goes to the lane that is furthest below its share; of two alike to the one that was served longer ago.
-- Within a lane who is due comes first, then the asking pod, whose slot is warm, then who waits longest.
local me = laneOf(ask.lane, ask.weight)
local unit = slots and ask.unit or 0
local wantSlots, wantTickets = ask.slots, ask.tickets
local gotSlots, gotTickets = 0, 0
local called
local number = tonumber(values[6] or 0)
local hasFree = (slots and freeSlots > 0) or (#counts > 0 and freeTickets > 0)
if hasFree and not isShut then
  readLine()
  -- The next attempt of its own needs a ticket, slots, or both: it may have the other in hand.
  local function needs()
    local moreSlots, moreTickets = wantSlots - gotSlots, wantTickets - gotTickets
    local attempts = slots and moreSlots / unit or 0
    local isTicketAlone = moreTickets > attempts
    return (moreSlots >= unit and not isTicketAlone) and unit or 0, moreTickets > 0 and 1 or 0
  end
  local function grant(addSlots, addTickets)
    gotSlots, gotTickets = gotSlots + addSlots, gotTickets + addTickets
    freeSlots, freeTickets = freeSlots - addSlots, freeTickets - addTickets
    rise(me, addTickets, addSlots)
  end
  -- Called: what was kept for it is its own, whoever else is further below its share by now.
  called = mine[5] and isRecent(mine[5]) and { slots = mine[6], tickets = mine[7] }
  while called do
    local addSlots, addTickets = needs()
    if addSlots + addTickets == 0 or freeSlots < addSlots or freeTickets < addTickets then break end
    if addSlots > called.slots or addTickets > called.tickets then break end
    called.slots, called.tickets = called.slots - addSlots, called.tickets - addTickets
    grant(addSlots, addTickets)
  end
  -- The next attempt of another. What is more than the limit allows at all (an operator set it) keeps nobody waiting.
  local function needsOf(other)
    local moreSlots = slots and other.slots - other.toldSlots or 0
    if moreSlots > 0 and other.unit > slots.size then return 0, 0 end
    return moreSlots >= other.unit and other.unit or 0, #counts > 0 and other.tickets > other.toldTickets and 1 or 0
  end
  -- Slots are kept together for the lane that is furthest below its share and needs several at once: others would take each one
  -- that becomes free. Where it lacks a ticket too, they are not.
  local isGathering = false
  local function fits(addSlots, addTickets)
    if addSlots + addTickets == 0 or (addSlots > 0 and isGathering) then return false end
    return freeSlots >= addSlots and freeTickets >= addTickets
  end
  local function find()
    local best, bestLane, bestSlots, bestTickets
    local function compare(who, lane, addSlots, addTickets)
      if addSlots + addTickets == 0 then return end
      local isShort = not isGathering and freeSlots < addSlots and freeTickets >= addTickets
      if not isShort and not fits(addSlots, addTickets) then return end
      if not best or lane.level < bestLane.level or (lane.level == bestLane.level and lane.last < bestLane.last) then
        best, bestLane, bestSlots, bestTickets = who, lane, addSlots, addTickets
      end
    end
    for _, other in ipairs(others) do
      if other.isDue and other.toldTickets < other.list[10] then compare(other, other.lane, needsOf(other)) end
    end
    local addSlots, addTickets = needs()
    if not slots or addSlots <= slots.size then compare('self', me, addSlots, addTickets) end
    for _, other in ipairs(others) do
      compare(other, other.lane, needsOf(other))
    end
    return best, bestLane, bestSlots, bestTickets
  end
  for _ = 1, 1000 do
    local best, lane, addSlots, addTickets = find()
    if not best then break end
    if not fits(addSlots, addTickets) then
      isGathering = true
    else
      number = number + 1
      lane.last = number
      if best == 'self' then
        lane.isServed = true
        grant(addSlots, addTickets)
      else
        lane.isServed = lane.isServed or not best.isDue
        best.toldSlots, best.toldTickets = best.toldSlots + addSlots, best.toldTickets + addTickets
        freeSlots, freeTickets = freeSlots - addSlots, freeTickets - addTickets
        kept = kept + addTickets
        if best.list[9] > 0 then lane.promised = math.max(0, lane.promised - addTickets) end
        rise(lane, addTickets, addSlots)
      end
    end
  end
  redis.call('HSET', hash, 'next', string.format('%.0f', number))
  for name, lane in pairs(lanes) do
    if lane.isServed then redis.call('HSET', hash, 'order:' .. name, string.format('%.0f', lane.last)) end
  end
end
if isRead then
  isContended = slots ~= nil and slots.used > slots.size
  for _, other in ipairs(others) do
    local list = other.list
    isContended = isContended or (other.name ~= ask.lane and not other.isCalled)
    if not other.isDue and (other.toldSlots > list[6] or other.toldTickets > list[7]) then
      if not other.isCalled then
        list[5] = now
        redis.call('PUBLISH', ARGV[2], cjson.encode({ kind = 'free', lane = other.name, pod = other.member:match('|(.*)$') }))
      end
      list[6], list[7], list[9], list[10] = other.toldSlots, other.toldTickets, 0, 0
      redis.call('HSET', hash, 'want:' .. other.member, table.concat(list, ' '))
    end
  end
end

-- 8. Granted.
local ids = {}
for _ = 1, gotSlots do
  local id = self .. '|' .. redis.call('HINCRBY', hash, 'next', 1)
  redis.call('ZADD', slots.key, now + ask.slotMs, id)
  ids[#ids + 1] = id
end
if gotSlots > 0 then use(slots, ask.lane, gotSlots) end
local batch = now + ask.forMs + ask.travelMs
if gotTickets > 0 then
  for _, limit in ipairs(counts) do put(limit, ask.lane, place(limit, batch), gotTickets) end
end

-- 9. Not all of it: it waits, behind those who wait already if it got some. So does a lane that got all and could use more, which it
-- finds out by and by (`demand`): what is free meanwhile is shared out by what lanes can use, not by how fast they ask.
local moreSlots, moreTickets = wantSlots - gotSlots, wantTickets - gotTickets
local again = -1
local demand = ask.demand or 0
local function wait(forMs, calledSlots, calledTickets, due, dueTickets)
  redis.call('ZADD', waiting, gotSlots + gotTickets > 0 and 'CH' or 'NX', now, self)
  local isCalled = calledSlots + calledTickets > 0
  local list = { #counts > 0 and slots and math.max(moreSlots, demand * unit - gotSlots) or moreSlots }
  list[2] = #counts > 0 and math.max(moreTickets, demand - gotTickets) or moreTickets
  for _, value in ipairs({ ask.weight, now + forMs + 1000, isCalled and now or 0, calledSlots, calledTickets, ask.unit, due, dueTickets }) do
    list[#list + 1] = value
  end
  for i, value in ipairs(list) do list[i] = string.format('%.17g', value) end
  redis.call('HSET', hash, 'want:' .. self, table.concat(list, ' '))
end
if moreSlots > 0 or moreTickets > 0 then
  again = ask.againMs
  local due, dueTickets = 0, 0
  if isShut then
    again = math.min(math.max(1, shutUntil - now), 5000)
  elseif moreTickets > 0 and (moreSlots <= 0 or freeSlots >= unit) then
    -- So many tickets as 15 ms bring, when those that go before it have had theirs: all that were promised to its own lane, and of
    -- another's as many as come before by weight.
    readLine()
    for _, limit in ipairs(counts) do
      local count = math.max(1, math.min(moreTickets, math.floor(limit.size * 15 / limit.per)))
      local before = me.promised
      local level = me.level + (me.promised + count) / limit.size / me.weight
      for name, lane in pairs(lanes) do
        local above = math.floor((level - lane.level) * limit.size * lane.weight + 0.001)
        if name ~= ask.lane then before = before + math.max(0, math.min(lane.promised, above)) end
      end
      local missing = limit.used - limit.size + kept + before + count
      local seen = 0
      for _, member in ipairs(missing > 0 and redis.call('ZRANGE', limit.key, 0, 199) or {}) do
        seen = seen + tonumber(redis.call('HGET', hash, 'n:' .. limit.name .. '|' .. member) or 0)
        local score = tonumber(member:match('|(.*)$'))
        if score > due then due = score end
        if seen >= missing then break end
      end
      dueTickets = count
    end
    if due > 0 then again = math.max(1, due - now) end
  end
  -- Other lanes hand slots on from job to job without a word: this is when they hear that another lane waits.
  if moreSlots > 0 and not isShut and not isKnownToWait then
    local own = tonumber(redis.call('HGET', hash, 'used:' .. slots.name .. '|' .. ask.lane) or 0)
    if slots.used > own then redis.call('PUBLISH', ARGV[2], cjson.encode({ kind = 'wanted', lane = ask.lane })) end
  end
  wait(again, 0, 0, due, dueTickets)
elseif #counts > 0 and demand > gotTickets then
  local hasMore = called and called.tickets > 0
  wait(0, hasMore and called.slots or 0, hasMore and called.tickets or 0, 0, 0)
elseif #mine > 0 then
  redis.call('ZREM', waiting, self)
  redis.call('HDEL', hash, 'want:' .. self)
end
local heldMs = math.max(0, tonumber(values[3] or 0) - now)
return { ids, string.format('%.0f', batch), gotTickets, lost, again, isContended and 1 or 0, heldMs }
