-- The end of an add: the job, which BullMQ has put among the delayed, comes into line.
-- ARGV, before what the keys begin with: lane, id, agent or '', cooldownMs of the lane, 1 if it is to come into line later.
-- Leaves in startsAt when it should start, as text; 'unknown' where that hangs on an agent that is not there, or silent.
local startsAt = 'unknown'
do
  local lane, job, agent = ARGV[#ARGV - 7], ARGV[#ARGV - 6], ARGV[#ARGV - 5]
  local key = Q .. lane .. ':' .. job
  if not cooldowns[lane] then
    cooldowns[lane] = tonumber(ARGV[#ARGV - 4])
    laneList[#laneList + 1] = lane
  end
  call('HSET', key, 'lk:agent', agent)
  if ARGV[#ARGV - 3] ~= '1' then
    local isRung = seat(lane, job)
    local isThere = agent ~= '' and call('HEXISTS', U .. 'agents', agent) == 1 and call('HEXISTS', stateKey(agent), 'silent') == 0
    if isThere or agent == '' and countAgents() > 0 then startsAt = call('HGET', key, 'lk:until') end
    -- BullMQ rings for the next that is due; here a window decides.
    call('ZREM', Q .. lane .. ':marker', '1')
    if isRung then call('ZADD', Q .. lane .. ':marker', 0, '0') end
  end
end
