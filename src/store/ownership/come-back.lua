-- One page of those aside: who was fed by the owner that holds the lane now goes back to where it lay, oldest first.
-- KEYS[1] lease of who may feed the lane
-- ARGV[1] lane
-- ARGV[2] kept  how many have been looked at, from the oldest on, and stay
-- ARGV[3] most  of a page
-- ARGV[4] tail  the last that the page before put into the list of those that wait, or ''
-- ARGV[5] order JSON: {}; { all: true } in a lane whose jobs run on; { adopt: { as, by? } }, whose jobs become the present owner's
-- Answers { how many came back, how many stay by now, 1 when there are no more, tail }, or { 'free' } when nobody is there to adopt.
local lane, kept, most, tail, order = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], cjson.decode(ARGV[5])
local holder = readHolder(KEYS[1])
local queue, aside = Q .. lane .. ':', asideOf(lane)
local adopt = type(order.adopt) == 'table' and order.adopt
if adopt and not holder.isLive then return { 'free' } end
local hasAgents = cooldowns[lane] ~= nil
-- A place in a line of 100,000 costs 70 us.
if hasAgents then most = math.min(most, 30) end
local first, came = {}, 0

local function comesBack(feeder)
  if adopt then return feeder.as == adopt.as and (type(adopt.by) ~= 'string' or feeder.by == adopt.by) end
  return order.all or not isDisplaced(feeder, holder)
end

-- A retry that backs off and what is for an instant wait on; the others go back into line.
local function putBack(id, key, was)
  call('HDEL', key, 'lk:aside', 'lk:gate', 'lk:until', 'lk:reason', 'lk:since')
  call('HSET', key, 'delay', '0')
  if was.set == 'delayed' then
    call('ZADD', queue .. 'delayed', was.score, id)
    if type(was.gate) == 'string' and was.gate ~= '' then
      call('ZADD', L .. lane .. ':parked:' .. was.gate, whole(math.floor(was.score / 4096)), id)
    end
    local names = { gate = 'lk:gate', untilAt = 'lk:until', reason = 'lk:reason', since = 'lk:since', delay = 'delay' }
    for field, name in pairs(names) do
      if type(was[field]) == 'string' then call('HSET', key, name, was[field]) end
    end
    return
  end
  if hasAgents then return seat(lane, id) end
  -- It could not have run before.
  call('HSET', key, 'lk:since', whole(now))
  call('ZREM', queue .. 'delayed', id)
  local priority = tonumber(call('HGET', key, 'priority')) or 0
  if was.set == 'prioritized' then
    call('ZADD', queue .. 'prioritized', was.score, id)
  elseif priority > 0 then
    -- It was running: before all of its priority.
    call('ZADD', queue .. 'prioritized', whole(priority * 4294967296), id)
  else
    first[#first + 1] = id
  end
end

local page = call('ZRANGE', aside, kept, kept + most - 1)
for _, id in ipairs(page) do
  local key = queue .. id
  local feeder = feederOf(key)
  local score = call('ZSCORE', queue .. 'delayed', id)
  if not feeder or not score or tonumber(score) < ASIDE_SCORE then
    -- Somebody removed it, or promoted it: it is asked again when it is to run.
    call('ZREM', aside, id)
  elseif comesBack(feeder) then
    if adopt then call('HSET', key, 'lk:owner', cjson.encode({ token = holder.token, as = holder.as, by = holder.by })) end
    call('ZREM', aside, id)
    local ok, was = pcall(cjson.decode, call('HGET', key, 'lk:aside') or '{}')
    putBack(id, key, ok and type(was) == 'table' and was or {})
    came = came + 1
  else
    kept = kept + 1
  end
end

-- Before whoever was added since: behind the page before this one where that still waits, at the head otherwise.
if #first > 0 then
  local wait = queue .. 'wait'
  local since = tail ~= '' and call('LPOS', wait, tail)
  if since and since <= 4000 then
    local newcomers = since > 0 and call('LPOP', wait, since) or {}
    call('LPUSH', wait, unpack(first))
    for i = #newcomers, 1, -1 do call('LPUSH', wait, newcomers[i]) end
  elseif since then
    call('LPUSH', wait, unpack(first))
  else
    for i = #first, 1, -1 do call('RPUSH', wait, first[i]) end
  end
  tail = first[#first]
end
if came > 0 then call('ZADD', queue .. 'marker', 0, '0') end
return { came, kept, #page < most and 1 or 0, tail }
