-- Which pod runs a lane with `pods: 'one'`, or plays a part for the whole fleet: takes it, or renews it for the one that has it.
-- KEYS[1] run
-- KEYS[2] sequence the lease of the lane's owner: its tokens and these are one sequence. Of a part, the same as `run`
-- ARGV[1] pod
-- ARGV[2] termMs
-- ARGV[3] token    of the one that has it; '' to take it, also anew from itself after it was given up
-- ARGV[4] floor    the highest token this pod knows; 0
-- ARGV[5] isLast   1: it is given back
-- Answers { 'held', token, pod that had it before or '' }, { 'standby', token, pod that has it, for how many ms more },
-- { 'lost' } when the token given is not the one, or { 'released' }.
local lease = readLease(KEYS[1])
local pod, token = ARGV[1], ARGV[3]
if token ~= '' then
  if lease.pod ~= pod or lease.token ~= token or not isLive(lease) then return { 'lost' } end
  local untilAt = ARGV[5] == '1' and now or now + tonumber(ARGV[2])
  call('HSET', KEYS[1], 'until', whole(untilAt))
  if ARGV[5] == '1' then return { 'released' } end
  return { 'held', token, '' }
end
if isLive(lease) and lease.pod ~= pod then
  return { 'standby', lease.token, lease.pod, tonumber(lease['until']) - now }
end
local last = math.max(tonumber(lease.last) or 0, tonumber(call('HGET', KEYS[2], 'last')) or 0)
token = nextToken(last, ARGV[4])
call('HSET', KEYS[2], 'last', token)
call('HSET', KEYS[1], 'pod', pod, 'token', token, 'until', whole(now + tonumber(ARGV[2])), 'last', token)
return { 'held', token, lease.pod or '' }
