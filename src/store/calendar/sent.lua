-- A request of an act is about to go out: from now on what becomes of it is unknown if its pod dies. Or none goes out after all.
-- KEYS[1] windows any key of the upstream, for its slot
-- ARGV[1] agent
-- ARGV[2] token of its claim
-- ARGV[3] isSent 0: what was said is taken back, nothing went out
-- ARGV[4] yields 1: not while a job that came after the claim stands before its own
-- Answers { 'ours', 'lost': others have the agent by now, or 'outranked': nothing is said, and that job is to have it; what time it is }.
local agent, token, isSent, yields = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = call('HMGET', stateKey(agent), 'token', 'lane', 'job')
if held[1] ~= token then return { 'lost', text(now) } end
if yields == '1' then
  local lane = held[2]
  local score = tonumber(call('HGET', Q .. lane .. ':' .. held[3], 'lk:place')) or 0
  local _, any = head(lane)
  local _, own = head(lane, agent)
  if math.min(any or math.huge, own or math.huge) < score then return { 'outranked', text(now) } end
end
-- A Redis that is full lets a script that has taken something away go on.
call('HDEL', stateKey(agent), 'sent')
if isSent == '1' then call('HSET', stateKey(agent), 'sent', '1') end
return { 'ours', text(now) }
