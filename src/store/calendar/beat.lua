-- A pod's sign of life, and what it does for all: it frees what dead pods held, takes jobs into line, and finds windows that nobody
-- looks at. The pods take turns: each is told when it is to come again.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] pod
-- ARGV[2] lanes    JSON list of those it runs
-- ARGV[3] deadMs   silent for so long a pod has no right to send a first request any more
-- ARGV[4] silentMs nor a further one
-- ARGV[5] aheadMs  windows that open within it are looked after
-- ARGV[6] holding  JSON list of the tokens of what it claimed and has not given back
-- ARGV[7] epoch    that its registration answered
-- ARGV[8] beatMs   how long a pod that holds something is silent, and between two turns at the most while anything stirs
-- ARGV[9] quietMs  how long one that holds nothing is silent at the most
-- ARGV[10] slowMs  the same while nothing stirs
-- ARGV[11] upstream for the journal
-- Answers { 'gone' } when it is to register again, or
-- { 'ok', [agent, ms until it opens …] of those this pod is to look after, [lane, job, agent, 1 if it was sent …] taken from the dead,
-- what time it is, ms until its next turn }.
local pod, lanes = ARGV[1], cjson.decode(ARGV[2])
local deadMs, silentMs, aheadMs = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local beatMs, quietMs, slowMs = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
if not isKnown(lanes, ARGV[7]) then return { 'gone' } end
-- First of all writes, because it takes something away: a Redis that is full lets a script that has written go on.
local turns = U .. 'agent-turns'
call('ZREM', turns, pod)
call('ZADD', U .. 'agent-pods', text(now), pod)

local freed = {}

-- What surely was not sent goes back into line, and its agent has not acted. Of the rest: it may have sent until its right to send
-- ran out, which is no later than now.
local function takeFrom(agent, lane, id, wasSent, nextAt)
  local opensAt = math.max(tonumber(nextAt) or 0, now + (cooldowns[lane] or longest))
  local reason = 'its pod died while it acted'
  free(agent, wasSent and { 'next', text(opensAt), 'last', text(now), 'source', 'policy', 'reason', reason } or {})
  local queue = Q .. lane .. ':'
  if not wasSent and call('LREM', queue .. 'active', 1, id) == 1 then
    call('DEL', queue .. id .. ':lock')
    call('SREM', queue .. 'stalled', id)
    seat(lane, id)
  elseif wasSent and call('EXISTS', queue .. id) == 1 then
    -- It may have begun something as this agent.
    call('HSET', queue .. id, 'lk:agent', agent)
  end
  for _, each in ipairs({ lane, id, agent, wasSent and 1 or 0 }) do freed[#freed + 1] = each end
end

local dead = call('ZRANGEBYSCORE', U .. 'agent-pods', '-inf', text(now - deadMs), 'WITHSCORES')
if #dead > 0 then
  local diedAt, holding = {}, {}
  for i = 1, #dead, 2 do diedAt[dead[i]] = tonumber(dead[i + 1]) end
  for _, agent in ipairs(call('ZRANGE', U .. 'acting', 0, -1)) do
    local held = call('HMGET', stateKey(agent), 'lane', 'job', 'pod', 'sent', 'next')
    local at = held[3] and diedAt[held[3]]
    if at and held[4] and at > now - silentMs then
      holding[held[3]] = true
    elseif at then
      takeFrom(agent, held[1], held[2], held[4], held[5])
    end
  end
  for name in pairs(diedAt) do if not holding[name] then call('ZREM', U .. 'agent-pods', name) end end
end

-- The answer to its claim was lost on the way, or it could not settle: what this pod does not hold, nobody does.
local mine = {}
for _, token in ipairs(cjson.decode(ARGV[6])) do mine[whole(token)] = true end
for _, agent in ipairs(call('ZRANGEBYSCORE', U .. 'acting', '-inf', text(now - 2000))) do
  local held = call('HMGET', stateKey(agent), 'lane', 'job', 'pod', 'sent', 'next', 'token')
  if held[3] == pod and not mine[held[6]] then
    takeFrom(agent, held[1], held[2], held[4], held[5])
  elseif not held[6] and held[5] then
    -- Nobody named it.
    free(agent, {})
  elseif not held[6] then
    -- Its claim was lost: whoever holds it registers, and names it.
    nextOf(agent)
    call('ZADD', U .. 'acting', text(now), agent)
    call('HSET', U .. 'agent-state', 'epoch', whole(now * 1000))
  elseif held[3] then
    -- Whoever holds something was alive: were it forgotten, nobody would see it die.
    call('ZADD', U .. 'agent-pods', 'NX', text(now), held[3])
  end
end

for _, lane in ipairs(lanes) do takeIn(lane, 100) end

-- Who promised to be heard by now and was not: nobody acts as it before it registers again. What it does now goes on, and when it is
-- given back `put` knows.
for _, agent in ipairs(call('ZRANGEBYSCORE', U .. 'agent-due', '-inf', text(now), 'LIMIT', 0, 100)) do
  local entry = cjson.decode(call('HGET', U .. 'agents', agent) or '{}')
  local heardAt = entry.heard or math.floor(now)
  call('ZREM', U .. 'agent-due', agent)
  call('HSET', stateKey(agent), 'silent', whole(heardAt))
  if call('HEXISTS', stateKey(agent), 'token') == 0 then put(agent) end
  local found = { upstream = ARGV[11], agent = agent, heartbeatMs = entry.heartbeatMs or cjson.null, heardAt = heardAt }
  writeEntry('agent.silent', U .. 'journal', pod, '{}', found)
end

-- Keys that were lost: whoever is registered stands somewhere.
local placed = 0
for _, set in ipairs({ 'windows', 'idle', 'silent', 'acting' }) do placed = placed + call('ZCARD', U .. set) end
if placed ~= call('HLEN', U .. 'agents') then
  local all = call('HKEYS', U .. 'agents')
  for _, set in ipairs({ 'windows', 'idle', 'silent', 'acting' }) do
    for _, agent in ipairs(call('ZRANGE', U .. set, 0, -1)) do
      if call('HEXISTS', U .. 'agents', agent) == 0 then all[#all + 1] = agent end
    end
  end
  for _, agent in ipairs(all) do
    local isActing = call('HEXISTS', stateKey(agent), 'token') == 1
    if isActing then call('ZADD', U .. 'acting', 'NX', text(now), agent)
    else
      call('ZREM', U .. 'acting', agent)
      put(agent)
    end
  end
end

-- Work for anybody, while those that were called for it went elsewhere: whoever has nothing to do is called.
for _, lane in ipairs(laneList) do
  if call('EXISTS', lineOf(lane)) == 1 then
    for _, agent in ipairs(call('ZRANGEBYSCORE', U .. 'idle', '-inf', text(now + aheadMs), 'LIMIT', 0, 64)) do lineUpIdle(agent) end
    break
  end
end

-- Those that open together are shared: one pod claims them one after another. What is left when it is near is anybody's.
local pods = call('ZCARD', turns) + 1
local unwatched = 0
local open = {}
local soon = call('ZRANGEBYSCORE', U .. 'windows', '-inf', text(now + aheadMs), 'WITHSCORES', 'LIMIT', 0, 256)
for i = 1, #soon, 2 do
  local agent, at = soon[i], tonumber(soon[i + 1])
  local watcher = call('HGET', stateKey(agent), 'watcher')
  local isWatched = watcher and watcher ~= pod and at > now - 15 and call('ZSCORE', U .. 'agent-pods', watcher)
  if not isWatched and watcher ~= pod then unwatched = unwatched + 1 end
  local isForUs = watcher == pod or at < now + beatMs or unwatched % pods == 1 % pods
  if not isWatched and isForUs then
    if watcher ~= pod then call('HSET', stateKey(agent), 'watcher', pod) end
    open[#open + 1] = agent
    open[#open + 1] = text(at - now)
  end
end

-- Whether anything is under way, or comes due before those that are slow look again.
local function stirs()
  local soon = now + slowMs + aheadMs
  if call('ZCARD', U .. 'acting') > 0 or call('ZCOUNT', U .. 'windows', '-inf', text(soon)) > 0 then return true end
  if call('ZCOUNT', U .. 'idle', '(' .. text(now), text(soon)) > 0 then return true end
  for _, lane in ipairs(lanes) do
    if call('ZCOUNT', Q .. lane .. ':delayed', '-inf', whole(math.floor(soon) * 4096)) > 0 then return true end
  end
  return false
end

-- After the last of the others, so that somebody looks every `apart`; no later than it may be silent.
call('ZREMRANGEBYSCORE', turns, '-inf', text(now - deadMs))
local isQuick = stirs()
local apart = isQuick and math.min(beatMs, quietMs / (call('ZCARD', turns) + 1)) or slowMs
local last = tonumber(call('ZREVRANGE', turns, 0, 0, 'WITHSCORES')[2]) or now
local turnMs = math.min(math.max(0, last - now) + apart, isQuick and quietMs or slowMs)
call('ZADD', turns, text(now + turnMs), pod)
-- Nobody holds anything, so nothing is lost while it is silent, and it is not dead.
if not isQuick then call('ZADD', U .. 'agent-pods', text(now + slowMs - beatMs), pod) end
return { 'ok', open, freed, text(now), text(turnMs) }
