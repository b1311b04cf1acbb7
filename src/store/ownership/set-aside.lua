-- What becomes of an owner's jobs when another takes its lane: they are set aside, and come back. It is put behind calendar.lua (whose
-- prefixes and moves it uses) and before each script that moves them, so that one file knows what such a job looks like: parked among
-- BullMQ's delayed at the gate `owner`, in the year 9999, and in our line of those aside.
local ASIDE_SCORE = 253402300799999 * 4096

local function asideOf(lane) return L .. lane .. ':aside' end

-- Who fed it; nil for what no owner fed.
local function feederOf(key)
  local json = call('HGET', key, 'lk:owner')
  if not json then return nil end
  local ok, feeder = pcall(cjson.decode, json)
  return ok and type(feeder) == 'table' and tonumber(feeder.token) and feeder or nil
end

-- Another took the lane after it was fed, whether it still holds it or not.
local function isDisplaced(feeder, holder)
  if not holder.token or tonumber(holder.token) <= tonumber(feeder.token) then return false end
  return feeder.as ~= holder.as or feeder.by ~= holder.by
end

local function readHolder(lease)
  local seen = call('HMGET', lease, 'token', 'as', 'by', 'until')
  return { token = seen[1], as = seen[2], by = seen[3], isLive = (tonumber(seen[4]) or 0) > now }
end

-- A job that the caller has just taken out of the set in which it lay; `was` says where, so that it can go back.
local function putAside(lane, id, feeder, holder, was)
  local key = Q .. lane .. ':' .. id
  local seen = call('HMGET', key, 'lk:place', 'lk:agent', 'timestamp', 'lk:gate')
  leaveGate(lane, id, seen[4])
  if seen[1] then call('ZREM', lineOf(lane, seen[2] and seen[2] ~= '' and seen[2] or nil), id) end
  call('ZADD', Q .. lane .. ':delayed', whole(ASIDE_SCORE), id)
  call('ZADD', asideOf(lane), seen[3] or '0', id)
  call('HSET', key, 'lk:gate', 'owner', 'lk:until', '', 'lk:since', whole(now), 'lk:aside', cjson.encode(was),
    'lk:reason', feeder.as .. ' of ' .. feeder.by .. ' fed it, and ' .. holder.as .. ' of ' .. holder.by .. ' took the lane',
    'delay', whole(253402300799999 - now))
end

-- The agent that was claimed for a job, and whether something may have gone out as it.
local function actingFor(lane)
  local acting = {}
  for _, agent in ipairs(call('ZRANGE', U .. 'acting', 0, -1)) do
    local held = call('HMGET', stateKey(agent), 'lane', 'job', 'sent')
    if held[1] == lane then acting[held[2]] = { agent = agent, wasSent = held[3] } end
  end
  return acting
end

-- Cuts an active job loose: without its lock, BullMQ's own settle refuses whatever its attempt comes to. No stall is counted and no
-- attempt used. An agent that surely did not act is free at once, and its pod is refused a first request; one that may have acted
-- stays with its pod, which knows its last answer: it is charged when the pod gives it back, or is found dead or without it.
local function cutLoose(lane, id, acting)
  local queue = Q .. lane .. ':'
  local lock = call('GET', queue .. id .. ':lock')
  call('DEL', queue .. id .. ':lock')
  call('LREM', queue .. 'active', 1, id)
  call('SREM', queue .. 'stalled', id)
  local held = acting[id]
  if held and held.wasSent then
    call('HSET', queue .. id, 'lk:agent', held.agent)
  elseif held then
    free(held.agent, {})
  end
  return lock or ''
end

-- For a take: every active job of another identity than the `holder` of the token just granted. Puts each into `stopped` with the lock
-- that its attempt had, by which the pod that runs it knows it.
local function setAside(lane, holder, stopped)
  local acting
  for _, id in ipairs(call('LRANGE', Q .. lane .. ':active', 0, -1)) do
    local feeder = feederOf(Q .. lane .. ':' .. id)
    if feeder and isDisplaced(feeder, holder) then
      acting = acting or actingFor(lane)
      stopped[#stopped + 1] = { lane, id, cutLoose(lane, id, acting) }
      putAside(lane, id, feeder, holder, { set = 'active' })
    end
  end
end
