-- What the scripts of an upstream's agents share: who may act when, and who stands in which line. It is put before each of them, so
-- that one file knows the keys (words/keys) and the moves. All instants are epoch ms by Redis, with fractions.
-- The last three arguments say what the keys begin with: the upstream's, those of its lanes, and their queues'.
local U, L, Q = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function text(number) return string.format('%.3f', number) end
local function whole(number) return string.format('%.0f', number) end
local function lineOf(lane, agent) return L .. lane .. ':line' .. (agent and ':' .. agent or '') end
local function stateKey(agent) return U .. 'agent:' .. agent end

-- Lanes whose jobs act as agents of this upstream, with what an act through each costs.
local laneList, cooldowns = {}, {}
local longest = 0
do
  local flat = call('HGETALL', U .. 'agent-lanes')
  for i = 1, #flat, 2 do
    local lane, value = flat[i], tonumber(flat[i + 1])
    -- No lane's name: a simulation says what time it is.
    if lane == '=now' then
      now = value
    else
      laneList[#laneList + 1] = lane
      cooldowns[lane] = value
      longest = math.max(longest, value)
    end
  end
end

-- Who goes next in a line. Whom BullMQ no longer has among the delayed was removed by somebody: it leaves no hole.
local function head(lane, agent)
  local line = lineOf(lane, agent)
  while true do
    local first = call('ZRANGE', line, 0, 0, 'WITHSCORES')
    if not first[1] then return nil end
    if call('ZSCORE', Q .. lane .. ':delayed', first[1]) then return first[1], tonumber(first[2]) end
    call('ZREM', line, first[1])
  end
end

local function hasWork(agent)
  local lines = {}
  for _, lane in ipairs(laneList) do
    lines[#lines + 1] = lineOf(lane)
    lines[#lines + 1] = lineOf(lane, agent)
  end
  return #lines > 0 and call('EXISTS', unpack(lines)) > 0
end

-- Nothing is known of an agent that is registered: it may have acted a moment ago, so its window opens after the longest cooldown.
local function nextOf(agent)
  local at = tonumber(call('HGET', stateKey(agent), 'next'))
  if at then return at end
  at = now + longest
  call('HSET', stateKey(agent), 'next', text(at), 'source', 'policy', 'reason', 'what was known of it was lost')
  return at
end

-- Those that may be used: whoever fell silent does not count.
local function countAgents() return call('HLEN', U .. 'agents') - call('ZCARD', U .. 'silent') end

-- Where an agent that nobody holds is looked for: among the windows while there is work for it, among the idle otherwise. Among the
-- silent nobody looks.
local function put(agent)
  if call('HEXISTS', U .. 'agents', agent) == 0 then
    if call('SISMEMBER', U .. 'agents-removed', agent) == 1 then
      for _, place in ipairs({ 'windows', 'idle', 'silent' }) do call('ZREM', U .. place, agent) end
      -- Added again before it may act, it owes what it cost.
      local keepMs = math.max((tonumber(call('HGET', stateKey(agent), 'next')) or now) - now, longest) + 86400000
      call('PEXPIRE', stateKey(agent), whole(keepMs))
      return
    end
    -- Nobody removed it: the list was lost, and with it the heartbeat, until it registers again.
    call('HSET', U .. 'agents', agent, cjson.encode({ at = math.floor(now), by = 'loss' }))
  end
  local silentSince = call('HGET', stateKey(agent), 'silent')
  local isWanted = not silentSince and hasWork(agent)
  local stands = silentSince and 'silent' or isWanted and 'windows' or 'idle'
  for _, place in ipairs({ 'windows', 'idle', 'silent' }) do
    if place ~= stands then call('ZREM', U .. place, agent) end
  end
  call('ZADD', U .. stands, silentSince or text(nextOf(agent)), agent)
  return isWanted
end

local function lineUpIdle(agent)
  local at = call('ZSCORE', U .. 'idle', agent)
  if not at then return false end
  call('ZREM', U .. 'idle', agent)
  call('ZADD', U .. 'windows', at, agent)
  return tonumber(at) <= now
end

-- For a job of any agent: the open one with the better recent success, or the one that opens soonest.
local function wakeAnyIdle()
  local open = call('ZRANGEBYSCORE', U .. 'idle', '-inf', text(now), 'LIMIT', 0, 64)
  local best, bestOk
  for _, agent in ipairs(open) do
    local ok = tonumber(call('HGET', stateKey(agent), 'ok')) or 1
    if not best or ok > bestOk then best, bestOk = agent, ok end
  end
  best = best or call('ZRANGE', U .. 'idle', 0, 0)[1]
  return best and lineUpIdle(best)
end

-- An honest guess: as many go before it, over so many agents, each of which comes round once in a cooldown.
local function estimate(lane, agent, score)
  local before = call('ZCOUNT', lineOf(lane, agent), '-inf', '(' .. whole(score))
  local cost = cooldowns[lane] or longest
  if agent then
    local seen = call('HMGET', stateKey(agent), 'next', 'silent')
    if seen[2] then return now + 86400000 end
    return math.max(now, tonumber(seen[1]) or now + longest) + before * cost
  end
  for _, other in ipairs(laneList) do
    if other ~= lane then before = before + call('ZCOUNT', lineOf(other), '-inf', whole(score)) end
  end
  local agents = countAgents()
  if agents <= 0 then return now + 86400000 end
  local rank = before % agents
  local waiting = call('ZCARD', U .. 'windows')
  local soon = rank < waiting and call('ZRANGE', U .. 'windows', rank, rank, 'WITHSCORES')[2]
    or call('ZRANGE', U .. 'idle', rank - waiting, rank - waiting, 'WITHSCORES')[2]
  -- The others act now, and come round when they have.
  return math.max(now, tonumber(soon) or now + cost) + math.floor(before / agents) * cost
end

-- The agent a plain producer named in our envelope; ours says it in a field. Text that is no JSON waits for any agent, and is refused
-- when it is run.
local function namedAgent(data)
  if not data or not data:find('"agent"', 1, true) then return nil end
  local ok, envelope = pcall(cjson.decode, data)
  if not ok or type(envelope) ~= 'table' or envelope.lk ~= 1 then return nil end
  local agent = envelope.agent
  if type(agent) ~= 'string' or #agent > 128 or not agent:match('^%w[%w._@-]*$') then return nil end
  return agent
end

-- It waits no longer for what a pod parked it for: `gate` is what its field says.
local function leaveGate(lane, id, gate)
  if gate and gate ~= '' then call('ZREM', L .. lane .. ':parked:' .. gate, id) end
end

-- So that whoever counts finds the lines. With each new name two others are looked at, so that about as many are void as not.
local function noteLine(lane, agent)
  local lined = L .. lane .. ':lined'
  if call('SADD', lined, agent) == 0 then return end
  for _, other in ipairs(call('SRANDMEMBER', lined, 2)) do
    if call('EXISTS', lineOf(lane, other)) == 0 then call('SREM', lined, other) end
  end
end

-- Puts a job into its line, by priority and then by arrival, and says in its own fields why it waits. It keeps the place it had.
-- True: an agent that is open and had nothing to do may have it at once.
local function seat(lane, id)
  local key = Q .. lane .. ':' .. id
  local seen = call('HMGET', key, 'lk:place', 'lk:agent', 'priority', 'data', 'lk:gate')
  leaveGate(lane, id, seen[5])
  local score, agent = tonumber(seen[1]), seen[2]
  if not agent then
    agent = namedAgent(seen[4]) or ''
    call('HSET', key, 'lk:agent', agent)
  end
  if agent == '' then agent = nil end
  if not score then
    local seq = call('HINCRBY', U .. 'agent-state', 'seq', 1)
    score = (tonumber(seen[3]) or 0) * 4294967296 + seq % 4294967296
  end
  local at = estimate(lane, agent, score)
  call('ZADD', lineOf(lane, agent), whole(score), id)
  if agent then noteLine(lane, agent) end
  call('ZADD', Q .. lane .. ':delayed', whole(math.ceil(at) * 4096), id)
  call('HSET', key, 'lk:place', whole(score), 'lk:gate', 'cooldown', 'lk:until', whole(math.ceil(at)),
    'lk:since', whole(now), 'lk:reason', '', 'delay', whole(math.max(0, at - now)))
  if agent then return lineUpIdle(agent) end
  return wakeAnyIdle()
end

-- What plain producers added, what came back from a stop or a crash, and what was scheduled or waited for its backoff: into line.
local function takeIn(lane, most)
  local queue = Q .. lane .. ':'
  local count = 0
  while count < most do
    local id = call('RPOP', queue .. 'wait')
    if not id then break end
    if id:sub(1, 2) ~= '0:' then
      seat(lane, id)
      count = count + 1
    end
  end
  local ranked = count < most and call('ZPOPMIN', queue .. 'prioritized', most - count) or {}
  for i = 1, #ranked, 2 do
    seat(lane, ranked[i])
    count = count + 1
  end
  local due = call('ZRANGEBYSCORE', queue .. 'delayed', '-inf', whole(math.floor(now) * 4096 + 4095), 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    local place = call('HMGET', queue .. id, 'lk:place', 'lk:agent')
    local agent = place[2] ~= '' and place[2] or nil
    if place[1] and call('ZSCORE', lineOf(lane, agent), id) then
      -- Its estimate has passed: others went before it. The line decides, so a new estimate does no harm.
      local at = math.max(now + 1000, estimate(lane, agent, tonumber(place[1])))
      call('ZADD', queue .. 'delayed', whole(math.ceil(at) * 4096), id)
      call('HSET', queue .. id, 'lk:until', whole(math.ceil(at)))
    else
      seat(lane, id)
    end
    count = count + 1
  end
  return count
end

-- Nobody holds it any more. It counts from `lastAt` when that is given.
local function free(agent, fields)
  call('ZREM', U .. 'acting', agent)
  call('ZREM', U .. 'agent-starts', agent)
  call('HDEL', stateKey(agent), 'lane', 'job', 'pod', 'token', 'sent', 'claimed')
  if #fields > 0 then call('HSET', stateKey(agent), unpack(fields)) end
  return put(agent)
end

-- Of this run of Redis, and known since the loss of which whoever asks has told what it knows: otherwise it registers again.
local function isKnown(lanes, epoch)
  for _, lane in ipairs(lanes) do if not cooldowns[lane] then return false end end
  local state = call('HMGET', U .. 'agent-state', 'born', 'run', 'epoch')
  if not state[1] or (epoch and state[3] ~= epoch) then return false end
  local ok, info = pcall(call, 'INFO', 'server')
  local run = ok and type(info) == 'string' and info:match('run_id:(%x+)') or ''
  return state[2] == run
end
