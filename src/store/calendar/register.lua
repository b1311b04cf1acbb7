-- Makes agents and lanes known, and tells what this pod knows of when they may act: after a loss only the latest instant told of an
-- agent counts, and one of whom nobody knows waits for the longest cooldown.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] agents   JSON list of the names that definitions give
-- ARGV[2] lanes    JSON object lane -> cooldown in ms
-- ARGV[3] wasKnown 1: this pod had registered before, so what is missing was lost
-- ARGV[4] told     JSON object agent -> ms until it may act again
-- ARGV[5] closedMs after a loss nobody claims for so long, while other pods tell theirs
-- ARGV[6] pod
-- ARGV[7] holding  JSON list of { token, agent, lane, job } of what it claimed and has not given back
-- Answers { 1 when what was known had been lost, epoch: it changes with each loss, so that every pod tells }.
local names, lanes, wasKnown, told = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3] == '1', cjson.decode(ARGV[4])
local state = U .. 'agent-state'
local known = call('HMGET', state, 'born', 'run')
local ok, info = pcall(call, 'INFO', 'server')
local run = ok and type(info) == 'string' and info:match('run_id:(%x+)') or ''
-- Another run of Redis: its file may lack the last second.
local isLost = (not known[1] and wasKnown) or (known[1] and known[2] ~= run)
if not known[1] then call('HSET', state, 'born', whole(now)) end
call('HSET', state, 'run', run)
local epoch = call('HGET', state, 'epoch')
if isLost or not epoch then
  epoch = whole(now * 1000)
  call('HSET', state, 'epoch', epoch)
end
if isLost then call('HSET', state, 'closed', text(now + tonumber(ARGV[5]))) end
local isNewLane = false
for lane, ms in pairs(lanes) do
  isNewLane = isNewLane or not cooldowns[lane]
  call('HSET', U .. 'agent-lanes', lane, whole(ms))
  longest = math.max(longest, ms)
  if not cooldowns[lane] then laneList[#laneList + 1] = lane end
  cooldowns[lane] = ms
end
for _, agent in ipairs(names) do
  if call('SISMEMBER', U .. 'agents-removed', agent) == 0 and call('HEXISTS', U .. 'agents', agent) == 0 then
    call('HSET', U .. 'agents', agent, cjson.encode({ at = math.floor(now), by = 'definition' }))
    if not (not known[1] and wasKnown) then call('HSETNX', stateKey(agent), 'next', text(now)) end
    if call('HEXISTS', stateKey(agent), 'token') == 0 then put(agent) end
  end
end
-- Jobs of a lane may have been there before anybody who runs it.
if isNewLane then for _, agent in ipairs(call('ZRANGE', U .. 'idle', 0, -1)) do put(agent) end end
-- What acts now and was forgotten acts on: it is given back as ever, and charged then.
for _, held in ipairs(cjson.decode(ARGV[7])) do
  local key = stateKey(held.agent)
  if call('HEXISTS', U .. 'agents', held.agent) == 1 and call('HEXISTS', key, 'token') == 0 then
    call('HSET', key, 'lane', held.lane, 'job', held.job, 'pod', ARGV[6], 'token', whole(held.token), 'claimed', text(now), 'sent', '1')
    call('ZADD', U .. 'acting', text(now), held.agent)
    call('ZREM', U .. 'windows', held.agent)
    call('ZREM', U .. 'idle', held.agent)
  end
end
for agent, ms in pairs(told) do
  if call('HEXISTS', U .. 'agents', agent) == 1 and call('HEXISTS', stateKey(agent), 'token') == 0 then
    local at = tonumber(call('HGET', stateKey(agent), 'next'))
    local isUnknown = not at or call('HGET', stateKey(agent), 'reason') == 'what was known of it was lost'
    if isUnknown or now + ms > at then
      call('HSET', stateKey(agent), 'next', text(now + ms), 'reason', '', 'source', 'policy')
      put(agent)
    end
  end
end
return { isLost and 1 or 0, epoch }
