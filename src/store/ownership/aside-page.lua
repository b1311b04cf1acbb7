-- One page of what waits in one set of a lane: what a displaced owner fed is set aside, the rest stays where it is.
-- KEYS[1] lease of who may feed the lane
-- ARGV[1] lane
-- ARGV[2] set   wait, prioritized or delayed
-- ARGV[3] kept  how many have been looked at, from the head on, and stay
-- ARGV[4] most  of a page
-- Answers { how many were moved, how many stay by now, 1 when there are no more }.
local lane, set, kept, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local holder = readHolder(KEYS[1])
local key = Q .. lane .. ':' .. set
local moved = 0
if not holder.token then return { 0, kept, 1 } end

-- Where it lay among the delayed. What a window was waited for with goes back to its place in its line by itself.
local function laidFor(id, score)
  local seen = call('HMGET', Q .. lane .. ':' .. id, 'lk:gate', 'lk:until', 'lk:reason', 'lk:since', 'delay')
  if seen[1] == 'cooldown' then return { set = 'wait' } end
  return { set = 'delayed', score = score, gate = seen[1], untilAt = seen[2], reason = seen[3], since = seen[4], delay = seen[5] }
end

local function move(id, was, take)
  local feeder = feederOf(Q .. lane .. ':' .. id)
  if not feeder or not isDisplaced(feeder, holder) then
    kept = kept + 1
    return
  end
  take()
  putAside(lane, id, feeder, holder, was())
  moved = moved + 1
end

if set == 'wait' then
  -- Fetched from its right end. Taking one out of a list walks to it, past those that stay.
  most = math.min(most, math.max(10, math.floor(200000 / (kept + 1))))
  local page = call('LRANGE', key, -(kept + most), -(kept + 1))
  for i = #page, 1, -1 do
    local id = page[i]
    move(id, function() return { set = 'wait' } end, function() call('LREM', key, -1, id) end)
  end
  return { moved, kept, #page < most and 1 or 0 }
end

local page = call('ZRANGE', key, kept, kept + most - 1, 'WITHSCORES')
for i = 1, #page, 2 do
  local id, score = page[i], page[i + 1]
  if set == 'delayed' and tonumber(score) >= ASIDE_SCORE then return { moved, kept, 1 } end
  local function was() return set == 'delayed' and laidFor(id, score) or { set = set, score = score } end
  move(id, was, function() call('ZREM', key, id) end)
end
return { moved, kept, #page < most * 2 and 1 or 0 }
