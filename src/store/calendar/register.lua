-- Makes agents and lanes known, and tells what this pod knows of when they may act: after a loss only the latest instant told of an
-- agent counts, and one of whom nobody knows waits for the longest cooldown. That its window was open when this pod heard of it last
-- is no knowledge: another may have acted since.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] agents   JSON list of the names that definitions give
-- ARGV[2] lanes    JSON object lane -> cooldown in ms
-- ARGV[3] wasKnown 1: this pod had registered before, so what is missing was lost
-- ARGV[4] told     JSON object agent -> ms until it may act again
-- ARGV[5] closedMs while nothing is known nobody claims for so long, and other pods tell what they know
-- ARGV[6] pod
-- ARGV[7] holding  JSON list of { token, agent, lane, job } of what it claimed and has not given back
-- ARGV[8] epoch    that its last registration answered, or ''
-- ARGV[9] channel  where pods hear that they are to look
-- Answers { 1 when what was known had been lost, epoch: it changes with each loss, so that every pod tells }.
local names, lanes, wasKnown, told = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3] == '1', cjson.decode(ARGV[4])
local state = U .. 'agent-state'
local known = call('HMGET', state, 'born', 'run')
local ok, info = pcall(call, 'INFO', 'server')
local run = ok and type(info) == 'string' and info:match('run_id:(%x+)') or ''
local epoch = call('HGET', state, 'epoch')
-- Another run of Redis: its file may lack the last second.
local isLost = (not known[1] and wasKnown) or (known[1] and known[2] ~= run)
-- Or a pod that knew of nothing took it for a beginning, and this one knows better.
local isMissed = known[1] and wasKnown and ARGV[8] ~= epoch and call('HDEL', state, 'naive') == 1
isLost = isLost or isMissed
if not known[1] then call('HSET', state, 'born', whole(now)) end
if not known[1] and not wasKnown then call('HSET', state, 'naive', '1') end
call('HSET', state, 'run', run)
if isLost or not epoch then
  epoch = whole(now * 1000)
  call('HSET', state, 'epoch', epoch)
end
if isLost or not known[1] then
  -- To a Redis that has just started pods find back within 1.5 s.
  local isYoung = (tonumber(info and tostring(info):match('uptime_in_seconds:(%d+)')) or 0) < 3
  call('HSET', state, 'closed', text(now + tonumber(ARGV[5]) + (isYoung and 1500 or 0)))
  call('PUBLISH', ARGV[9], '{"kind":"lost"}')
end
local isNewLane = false
for lane, ms in pairs(lanes) do
  isNewLane = isNewLane or not cooldowns[lane]
  call('HSET', U .. 'agent-lanes', lane, whole(ms))
  longest = math.max(longest, ms)
  if not cooldowns[lane] then laneList[#laneList + 1] = lane end
  cooldowns[lane] = ms
end
if isMissed or (isLost and not known[1]) then
  -- Of whom it is only said that they are there nothing is known.
  for _, agent in ipairs(call('HKEYS', U .. 'agents')) do
    local seen = call('HMGET', stateKey(agent), 'last', 'source', 'token')
    if not seen[1] and not seen[2] and not seen[3] then
      call('HDEL', stateKey(agent), 'next')
      put(agent)
    end
  end
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
    for _, place in ipairs({ 'windows', 'idle', 'silent' }) do call('ZREM', U .. place, held.agent) end
  end
end
for agent, ms in pairs(told) do
  if call('HEXISTS', U .. 'agents', agent) == 1 and call('HEXISTS', stateKey(agent), 'token') == 0 then
    local at = tonumber(call('HGET', stateKey(agent), 'next'))
    local isUnknown = not at or call('HGET', stateKey(agent), 'reason') == 'what was known of it was lost'
    if ms > 0 and (isUnknown or now + ms > at) then
      call('HSET', stateKey(agent), 'next', text(now + ms), 'reason', '', 'source', 'policy')
      put(agent)
    end
  end
end
return { isLost and 1 or 0, epoch }
