-- Claims the window of an agent for a job of one lane, and fetches that job, as one: BullMQ's own fetch stands in `bull`. Either the
-- agent is ours and its job active under our lock, or nothing has changed.
-- KEYS and ARGV: BullMQ's, then
-- ARGV[lane] ARGV[pod] ARGV[leadMs] how long before its opening a window may be claimed
-- ARGV[yields] 1: not while another lane's job stands before ours for that agent
-- ARGV[apartMs] so long at the least lies between the starts of two agents
-- Answers { 'job', BullMQ's reply, agent, token, ms until it opens, ms until it may start, ms the job has waited,
-- 1 if there may be more, what time it is }, { 'other', lane }, { 'gone' } or { 'none' }.
local lane, pod, leadMs, yields = ARGV[#ARGV - 7], ARGV[#ARGV - 6], tonumber(ARGV[#ARGV - 5]), ARGV[#ARGV - 4]
local apartMs = tonumber(ARGV[#ARGV - 3])
if not isKnown({ lane }) then return { 'gone' } end
local queue = Q .. lane .. ':'
takeIn(lane, 100)
local meta = call('HMGET', queue .. 'meta', 'paused', 'concurrency')
if meta[1] or (meta[2] and call('LLEN', queue .. 'active') >= tonumber(meta[2])) then return { 'none' } end
local closed = tonumber(call('HGET', U .. 'agent-state', 'closed') or 0)
if closed > now then return { 'none' } end

local anyId, anyScore = head(lane)
local best
local count = 0
local from = 0
repeat
  local seen = call('ZRANGEBYSCORE', U .. 'windows', '-inf', text(now + leadMs), 'WITHSCORES', 'LIMIT', from, 64)
  for i = 1, #seen, 2 do
    local agent, opensAt = seen[i], tonumber(seen[i + 1])
    local id, score, line = anyId, anyScore, lineOf(lane)
    local ownId, ownScore = head(lane, agent)
    if ownId and (not id or ownScore < score) then id, score, line = ownId, ownScore, lineOf(lane, agent) end
    if id then
      -- Another pod that lives looks after it, and would ask for nothing.
      local watcher = opensAt > now - 15 and call('HGET', stateKey(agent), 'watcher')
      local counts = not watcher or watcher == pod
      if counts then count = count + 1 end
      local isOpen = opensAt <= now
      -- The open before the opening, the first in line before the others, and of two alike the one with the better success.
      local ok = isOpen and (tonumber(call('HGET', stateKey(agent), 'ok')) or 1) or 0
      local isBetter = not best or (isOpen and not best.isOpen)
      if best and isOpen == best.isOpen then
        isBetter = score < best.score or (score == best.score and (isOpen and ok > best.ok or opensAt < best.opensAt and ok == best.ok))
      end
      if isBetter then
        best = { agent = agent, opensAt = opensAt, id = id, score = score, line = line, ok = ok, isOpen = isOpen, counts = counts }
      end
    elseif not hasWork(agent) then
      put(agent)
    end
  end
  -- Windows that only others have work for may lie before it.
  from = from + 64
until best or #seen < 128
if not best then return { 'none' } end
-- Its state may have been lost since, or an operator moved it: the field is the truth.
local opensAt = nextOf(best.agent)
if opensAt > now + leadMs then
  call('ZADD', U .. 'windows', text(opensAt), best.agent)
  return { 'none' }
end
if yields == '1' then
  for _, other in ipairs(laneList) do
    if other ~= lane then
      local _, any = head(other)
      local _, own = head(other, best.agent)
      local first = math.min(any or math.huge, own or math.huge)
      if first < best.score then return { 'other', other } end
    end
  end
end

local since = tonumber(call('HGET', queue .. best.id, 'lk:since')) or now
local others = count - (best.counts and 1 or 0)
call('ZREM', best.line, best.id)
call('ZREM', queue .. 'delayed', best.id)
call('RPUSH', queue .. 'wait', best.id)
-- BullMQ rings for the next job with each that it fetches; here nobody can do more until another window opens.
local isRung = call('ZSCORE', queue .. 'marker', '0')
local reply = bull(KEYS, ARGV)
if not isRung and call('EXISTS', queue .. 'wait', queue .. 'prioritized') == 0 then call('ZREM', queue .. 'marker', '0') end
if type(reply) ~= 'table' or reply[2] ~= best.id then
  -- BullMQ would not (a rate limit of its own): as it was.
  call('LREM', queue .. 'wait', 1, best.id)
  seat(lane, best.id)
  return { 'none' }
end
-- It went to a job that waited for this agent alone: who waits for anybody calls another.
local isRungForAny = anyId and anyId ~= best.id and wakeAnyIdle()
local token = call('HINCRBY', U .. 'agent-state', 'token', 1)
-- The first of all, or after a loss: it must be none that was given before, and there are fewer than one in a millisecond.
if token < now then
  token = math.floor(now)
  call('HSET', U .. 'agent-state', 'token', whole(token))
end
-- Agents that act at the same instant come round at the same instant, for ever: all of them claimed before a job that is to go first is
-- here, and one pod has to start them all. So each start has a time of its own, so close to the others that all have started within
-- 100 ms, or a quarter of the cooldown.
local startsAt = math.max(opensAt, now)
apartMs = math.min(apartMs, math.min(longest / 4, 100) / math.max(1, countAgents()))
call('ZREMRANGEBYSCORE', U .. 'agent-starts', '-inf', text(now - apartMs))
local planned = call('ZRANGEBYSCORE', U .. 'agent-starts', text(startsAt - apartMs), '+inf', 'WITHSCORES')
for i = 2, #planned, 2 do
  local other = tonumber(planned[i])
  if other - startsAt >= apartMs then break end
  if startsAt - other < apartMs then startsAt = other + apartMs end
end
call('ZADD', U .. 'agent-starts', text(startsAt), best.agent)
-- A sign of life, and what the pod holds counts from now.
call('ZADD', U .. 'agent-pods', text(now), pod)
call('ZREM', U .. 'windows', best.agent)
call('ZADD', U .. 'acting', text(now), best.agent)
call('HSET', stateKey(best.agent), 'lane', lane, 'job', best.id, 'pod', pod, 'token', whole(token), 'claimed', text(now))
local more = (others > 0 or isRungForAny) and 1 or 0
return { 'job', reply, best.agent, token, text(opensAt - now), text(startsAt - now), text(now - since), more, text(now) }
